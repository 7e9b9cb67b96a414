"""Traffic that drives itself, as a recording and in a table."""

import functools
import json

import numpy as np
import pytest

from data.traffic import PRESETS, generate
from envs.traffic.registry import traffic_by_name
from eval.metrics.lost_vehicles import lost_vehicles
from eval.realism.driven import drive
from eval.traffic import main
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


@functools.cache
def dense() -> Recording:
    return generate(PRESETS["dense"], 20.0, seed=3)


def driven(name: str, recording: Recording, first_frame=20, frames=100) -> Recording:
    scene = Scene.build([recording])
    traffic = traffic_by_name(name, scene, [recording])
    return drive(traffic, scene, recording, first_frame, frames, name)


def test_replay_is_the_recording():
    recording, again = dense(), driven("replay", dense())
    assert again.frames == 101
    inside = (recording.frame >= 20) & (recording.frame <= 120)
    # The one that the absent ego replaces is the last to appear, after the end.
    assert again.rows == int(inside.sum())
    np.testing.assert_allclose(again.x_m, recording.x_m[inside], atol=1e-3)
    np.testing.assert_allclose(again.y_m, recording.y_m[inside], atol=1e-3)
    np.testing.assert_allclose(again.speed_mps, recording.speed_mps[inside], atol=1e-5)
    ids = recording.vehicle_id[np.unique(recording.row_vehicle[inside])]
    np.testing.assert_array_equal(again.vehicle_id, ids)


def test_driven_traffic_begins_as_recorded_stays_in_the_section_and_says_what_it_is():
    again = driven("reactive", dense())
    start = again.frame == 0
    recorded = dense().frame == 20
    np.testing.assert_allclose(np.sort(again.x_m[start]), np.sort(dense().x_m[recorded]), atol=1e-3)
    assert again.x_m.max() < dense().x_m.max() + 2.0
    assert again.vehicles > int(start.sum())  # some have entered
    assert again.provenance["synthetic"] and again.provenance["others"] == "reactive"
    assert again.provenance["carpool_lane"] == dense().provenance["carpool_lane"]
    # Each goes on from one frame to the next at its speed.
    same = np.diff(again.row_vehicle) == 0
    moved = np.hypot(np.diff(again.x_m), np.diff(again.y_m))[same]
    mean = 0.5 * (again.speed_mps[1:] + again.speed_mps[:-1])[same]
    np.testing.assert_allclose(moved, 0.1 * mean, atol=2e-3)


def test_a_recording_too_short_is_refused():
    with pytest.raises(InputError, match="200 frames; 190 from frame 20 on are too many"):
        driven("replay", dense(), frames=190)


def test_a_vehicle_that_vanishes_in_the_middle_is_lost():
    whole = Car(-50.0, speed_mps=15.0)
    through = Car(700.0, 1, 20.0, frames=97)  # to the section's end
    vanishes = Car(100.0, 2, 10.0, frames=40)
    lasts = Car(0.0, 1, 5.0)
    for cars, expected in (([whole, through, lasts], 0), ([whole, through, lasts, vanishes], 1)):
        assert lost_vehicles(straight_recording(cars, road_m=1000.0)) == expected


def test_the_table_has_rates_and_realism(tmp_path, capsys):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    dense().save(paths[0])
    cars = [Car(150.0 - 30.0 * k, k % 3, 10.0) for k in range(5)]
    straight_recording(cars, 200, lanes=3).save(paths[1])
    main(
        (paths[0], paths[1]), ("replay", "reactive"), seconds=8.0, start_s=2.0,
        json=tmp_path / "out.json", out=tmp_path / "driven",
    )  # fmt: skip
    rows = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())["rows"]}
    assert rows["replay"]["relative_speed"]["value"] == pytest.approx(1.0)
    assert rows["replay"]["relative_vehicles"]["value"] == pytest.approx(1.0)
    assert rows["reactive"]["relative_speed"]["value"] == pytest.approx(1.0, abs=0.3)
    assert rows["reactive"]["overlaps_per_vehicle_hour"]["n"] == 2
    assert "lost vehicles" in capsys.readouterr().out
    saved = load_recordings(sorted((tmp_path / "driven").glob("*.h5")))
    assert len(saved) == 4 and all(one.frames == 81 for one in saved)
    with pytest.raises(InputError, match="name each kind once"):
        main((paths[0],), ("replay", "replay"))


def test_overlaps_are_counted(tmp_path):
    """Two vehicles that were recorded as driving through each other do so in replay."""
    cars = [
        Car(50.0, 1, 5.0),
        Car(0.0, 1, 15.0),
        Car(-40.0, 0, 10.0),
        Car(0.0, 2, 10.0),
        Car(-80.0),
    ]
    straight_recording(cars, 150).save(tmp_path / "a.h5")
    main((tmp_path / "a.h5",), ("replay",), seconds=10.0, start_s=1.0, json=tmp_path / "out.json")
    row = json.loads((tmp_path / "out.json").read_text())["rows"][0]
    hours = 0.1 * 101 * 4 / 3600
    assert row["overlaps_per_vehicle_hour"]["value"] == pytest.approx(1 / hours, rel=0.01)
