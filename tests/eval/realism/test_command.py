"""The command: its rows, names and notes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from eval.realism.__main__ import main
from ppuu.recordings.recording import save_recordings
from ppuu.recordings.road import Road
from tests.helpers import Car, straight_recording

REAL = ["real 0400", "real 0500", "real us101", "constant speed"]


@pytest.fixture
def queue():
    """A column of cars, 25 m from each to the next."""
    cars = [Car(25.0 * k - 90.0, speed_mps=6.0) for k in range(5)]
    return straight_recording(cars, frames=500, name="queue")


def rows(tmp_path, *recordings):
    paths = []
    for number, group in enumerate(recordings):
        paths.append(tmp_path / f"file{number}.h5")
        save_recordings(paths[-1], group)
    main(tuple(paths), json=tmp_path / "out.json")
    return json.loads((tmp_path / "out.json").read_text())["rows"]


def test_a_recording_stands_below_the_real_ones(tmp_path, queue, capsys):
    *real, row = rows(tmp_path, [queue])
    assert [one["name"] for one in real] == REAL
    assert row["name"] == "queue" and row["pairs"] == 4
    assert 0 < row["realism"] < 0.3  # nobody accelerates
    assert row["wasserstein_speed_mps"] > 0 and row["wave_speed_mps"] is None
    assert row["lane_changes_per_vehicle_hour"] == 0.0 and row["lane_change_duration_s"] is None
    assert "queue: no waves" in capsys.readouterr().out


def test_recordings_of_a_file_are_one_traffic(tmp_path, queue):
    preset = {"preset": {"name": "slow"}}
    seeds = [replace(queue, name=f"slow-seed{seed}", provenance=preset) for seed in (1, 2)]
    others = [replace(queue, name=name) for name in ("a", "b")]
    *_, pooled, named, single = rows(tmp_path, seeds, others, [queue])
    assert (pooled["name"], named["name"], single["name"]) == ("slow", "file1", "queue")
    assert pooled["pairs"] == 2 * single["pairs"]
    assert pooled["realism"] == pytest.approx(single["realism"])


def test_equal_names_are_told_apart(tmp_path, queue):
    names = [row["name"] for row in rows(tmp_path, [queue], [queue])[-2:]]
    assert names == [f"queue ({tmp_path}/file{k}.h5)" for k in (0, 1)]


def test_what_cannot_be_measured_is_null_and_said(tmp_path, queue):
    """No lanes; a vehicle across its lane; a window of 6 s."""
    bare = replace(queue, road=Road.from_lanes([]))
    across = replace(queue, heading_rad=queue.heading_rad + 1.5)
    window = straight_recording([Car(0.0), Car(30.0)], frames=60)
    *_, lanes, crossing, short = rows(tmp_path, [bare], [across], [window])
    assert "no lanes" in lanes["notes"] and "do not drive along their lanes" in crossing["notes"]
    assert "no vehicle follows another for 30 s" in short["notes"]
    for row in (lanes, crossing, short):
        assert row["realism"] is None and row["wasserstein_gap_m"] is None
        assert row["lane_changes_per_vehicle_hour"] is None
    assert short["roughness_m"] == pytest.approx(0.0, abs=1e-4)


def test_the_car_pool_lane_is_said_to_be_left_out(tmp_path, queue):
    (row,) = rows(tmp_path, [replace(queue, provenance={"carpool_lane": 0})])[-1:]
    assert "car-pool lane (1 from the left)" in row["notes"]
    assert np.isfinite(row["realism"])  # the queue is in another lane
