"""Whether goals can be reached among recorded vehicles."""

import dataclasses
import json

import numpy as np
import pytest

from envs.core.scenario import ScenarioConfig, list_scenarios
from eval.driving.reachability import STEP_S
from eval.driving.solvability import Arrival, solve
from eval.solvable import main
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

EGO = Car(100.0, lane=1, speed_mps=10.0)


def solution(*others, frames=300, arrival=None, seconds=None):
    """Of one lane to the left of the middle lane of three (the ego's number is even)."""
    recording = straight_recording([EGO, *others], frames=frames)
    scenarios = list_scenarios(recording, ScenarioConfig(task="change-1"))[:1]
    scene = Scene.build([recording])
    if seconds is not None:
        end = scenarios.start_frame + round(seconds / recording.dt_s)
        scenarios = dataclasses.replace(scenarios, end_frame=end)
    return solve(scene, recording, scenarios, arrival)


def wall(speed_mps=10.0, gap_from_m=np.inf):
    """The left lane, filled bumper to bumper except for one gap of three vehicles."""
    return [
        Car(x_m, lane=2, speed_mps=speed_mps)
        for x_m in np.arange(0.0, 700.0, 5.0)
        if not gap_from_m <= x_m < gap_from_m + 15.0
    ]


def test_empty_road_is_solvable_and_the_path_ends_in_the_lane():
    found = solution()
    assert found.solvable
    station, lateral, speed = found.path.T
    assert abs(lateral[0] + 4.0) < 0.4
    assert abs(lateral[-1]) < 1.2
    assert station[-1] - station[0] == pytest.approx(215.0, abs=2.1)
    assert np.diff(station)[:-1] == pytest.approx(0.5 * STEP_S * (speed[1:] + speed[:-1])[:-1])
    assert np.abs(np.diff(speed)).max() <= 2.0


def test_wall_of_vehicles_is_not_solvable():
    assert not solution(*wall()).solvable


def test_gap_behind_needs_an_ego_that_brakes():
    """The gap passes slowly behind the ego: only who falls back gets into it."""
    found = solution(*wall(gap_from_m=60.0))
    assert found.solvable
    assert found.path[:, 2].min() < 10.0


def test_margin_closes_a_narrow_gap():
    others = wall(gap_from_m=60.0)
    assert not solution(*others, arrival=Arrival(margin_m=6.0)).solvable


def test_time_limit():
    """At most 2 m/s² from 10 m/s: 215 m take at least 10.5 s."""
    assert not solution(seconds=10.0).solvable
    assert solution(seconds=11.5).solvable


def test_command(tmp_path, capsys):
    file, out, paths = tmp_path / "wall.h5", tmp_path / "out.json", tmp_path / "paths.npz"
    straight_recording([EGO, *wall(speed_mps=9.0)[:1]], frames=300).save(file)
    main((file,), "change-1", out, "all", 1, paths=paths)
    assert "solvable (100.0 %)" in capsys.readouterr().out
    assert json.loads(out.read_text())["rows"][0]["solved"] == [0]
    with np.load(paths) as found:
        assert found["0"].shape[1] == 3
    with pytest.raises(InputError, match="--limit 0"):
        main((file,), limit=0)
