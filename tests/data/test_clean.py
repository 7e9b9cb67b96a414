"""Checks refuse what cannot be true; repairs are counted."""

from dataclasses import replace

import numpy as np
import pytest

from data.clean import Report, overlapping_pairs, recording
from data.raw import RawTracks
from ppuu.errors import InputError
from ppuu.recording import Recording
from ppuu.road import Road

ROAD = Road.straight(1000.0, 3, 3.7, start_m=-100.0)


def rows(frames, vehicle=1, speed_mps=10.0, y_m=5.5, **other) -> RawTracks:
    """One car along x."""
    frames = np.asarray(frames)
    n = len(frames)
    values = {
        "vehicle": np.full(n, vehicle),
        "frame": frames,
        "x_m": 0.1 * speed_mps * frames,
        "y_m": np.full(n, y_m),
        "length_m": np.full(n, 4.5),
        "width_m": np.full(n, 1.8),
        "heading_rad": np.zeros(n),
        "speed_mps": np.full(n, speed_mps),
        "line": np.arange(n) + 1,
    }
    return RawTracks(name="test", file="file.txt", dt_s=0.1, road=ROAD, **(values | other))


def join(*parts: RawTracks) -> RawTracks:
    columns = {
        key: np.concatenate([getattr(part, key) for part in parts])
        for key in RawTracks.__dataclass_fields__
        if isinstance(getattr(parts[0], key), np.ndarray)
    }
    return replace(parts[0], **columns)


def clean(table: RawTracks) -> tuple[Recording, Report]:
    made = recording(table)
    return made, Report(**made.provenance["report"])


def test_rows_in_any_order_become_one_track_from_frame_0():
    table = rows(np.arange(7, 37)[::-1])
    made, report = clean(table)
    np.testing.assert_array_equal(made.frame, np.arange(30))
    np.testing.assert_allclose(made.x_m, 7 + np.arange(30))
    assert made.provenance["first_frame"] == 7
    assert (report.rows_read, report.vehicles_read) == (30, 1)
    assert (report.rows_kept, report.tracks_kept) == (30, 1)
    assert not (report.dropped or report.repaired or report.overlaps or report.implausible)


def test_short_gap_is_filled_long_gap_splits_short_track_is_dropped():
    kept = [*range(20), *range(25, 45), *range(51, 70), *range(80, 85)]
    made, report = clean(rows(kept))
    np.testing.assert_array_equal(np.diff(made.vehicle_pointer), [45, 19])
    np.testing.assert_allclose(made.x_m[:45], np.arange(45), atol=1e-12)
    np.testing.assert_array_equal(made.vehicle_id, [1, 1])
    assert report.repaired == {
        "track split at a gap of more than 5 frames": 2,
        "frame filled by interpolation": 5,
    }
    assert report.dropped == {"track shorter than 1 s": 5}
    assert (report.rows_read, report.rows_kept, report.tracks_kept) == (64, 64, 2)


def test_a_jump_is_two_vehicles():
    table = rows(range(40))
    table.x_m[20:] += 300.0
    made, report = clean(table)
    assert made.vehicles == 2
    assert report.repaired == {"track split at a jump (faster than 80 m/s)": 1}


def test_heading_is_interpolated_across_the_turn_of_the_scale():
    heading = np.where(np.arange(21) < 12, 3.1, -3.1)
    table = rows([*range(10), *range(12, 23)], heading_rad=heading)
    made, _ = clean(table)
    assert (np.abs(made.heading_rad) > 3.05).all()


def test_rounded_speeds_are_set_to_zero_and_counted():
    made, report = clean(rows(range(20), speed_mps=-0.004))
    assert made.speed_mps.max() == 0.0
    assert list(report.repaired.values()) == [20]


@pytest.mark.parametrize(
    "column, value, words",
    [
        ("speed_mps", -3.0, ["negative", "-3.000", "line 5"]),
        ("x_m", np.nan, ["x_m", "not a number", "line 5"]),
        ("length_m", 0.0, ["no size", "line 5"]),
        ("frame", 3, ["second row", "frame 3"]),
    ],
)
def test_impossible_rows_are_refused_by_name(column, value, words):
    table = rows(range(20), vehicle=77)
    getattr(table, column)[4] = value
    with pytest.raises(InputError) as error:
        clean(table)
    for word in ["file.txt", "vehicle 77", *words]:
        assert word in str(error.value)


def test_nothing_left_is_an_error():
    with pytest.raises(InputError, match="no track"):
        clean(rows(range(5)))


def test_front_positions_move_to_the_centre_along_the_heading():
    n = np.arange(40)
    angle = 0.3
    table = rows(n, x_m=n * np.cos(angle), y_m=n * np.sin(angle), at_front=True)
    table = replace(table, heading_rad=None, speed_mps=None)
    made, _ = clean(table)
    np.testing.assert_allclose(made.x_m, (n - 2.25) * np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(made.y_m, (n - 2.25) * np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(made.heading_rad, angle, atol=1e-6)
    np.testing.assert_allclose(made.speed_mps, 10.0, atol=1e-5)


def test_overlapping_pairs_are_listed_with_their_depth():
    made, report = clean(
        join(rows(range(20)), rows(range(20), vehicle=2, y_m=7.0), rows(range(20), 3, y_m=1.0))
    )
    assert report.overlaps == overlapping_pairs(made)
    assert report.overlaps == [{"vehicles": [1, 2], "frames": 20, "depth_m": 0.3, "at_frame": 0}]
    assert "1/2 by 0.30 m" in report.table()
