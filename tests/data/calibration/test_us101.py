"""Tracks of US-101 from a table that is known, and their lane changes."""

from __future__ import annotations

import gzip

import numpy as np

from data.calibration.lateral_track import LateralTrack
from data.calibration.us101 import read_us101_tracks

HEADER = "slot,vehicle_id,time_s,x_m,y_m,lane"


def write(path, rows):
    with gzip.open(path, "wt") as file:
        file.write("\n".join([HEADER, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_tracks_end_at_gaps_and_centres_are_medians_by_place(tmp_path):
    rows = [(1, 7, 0.1 * k, 1.0 * k, -2.0 if k < 50 else -2.4, 1) for k in range(150) if k != 120]
    rows += [(1, 8, 0.1 * k, 1.0 * k, -5.5, 2) for k in range(20)]
    first, second, other = read_us101_tracks(write(tmp_path / "us101.csv.gz", rows))
    assert [len(track.y_m) for track in (first, second, other)] == [120, 29, 20]
    # Too few rows after 100 m, and in lane 2: the median of the whole lane.
    np.testing.assert_array_equal(first.centres_m[[0, 60, 110], 0], [-2.4, -2.4, -2.4])
    np.testing.assert_array_equal(other.centres_m, np.tile([-2.4, -5.5], (20, 1)))
    np.testing.assert_array_equal(other.in_lanes(other.lane).centre_m, -5.5)
    np.testing.assert_array_equal(other.in_lanes(np.ones(20, int)).centre_m, -2.4)


def test_changes_lie_between_stays_and_point_to_the_left_where_lanes_fall():
    lane = np.repeat([3, 2, 4, 3, 1], [40, 10, 40, 40, 40])
    track = LateralTrack(-3.5 * lane, -3.5 * lane, lane, np.ones(170, bool), 0.1)
    assert track.stable_changes() == [(45, -1), (90, 1), (130, 2)]
    off_road = LateralTrack(track.offset_m, track.centre_m, lane, np.arange(170) > 20, 0.1)
    assert off_road.stable_changes() == [(90, 1), (130, 2)]
