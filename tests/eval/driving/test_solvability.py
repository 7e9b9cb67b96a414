"""Whether goals can be reached among recorded vehicles."""

import dataclasses

import numpy as np
import pytest
import torch

from envs.core.scenario import list_scenarios
from eval.driving.lane_goals import goals_beside
from eval.driving.reachability import STEP_S
from eval.driving.solvability import Task, solve
from eval.solvable import main
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

EGO = Car(100.0, lane=1, speed_mps=10.0)


def solution(*others, frames=300, task=None, seconds=None):
    """Of one lane to the right of the middle lane of three."""
    recording = straight_recording([EGO, *others], frames=frames)
    scene, scenarios = Scene.build([recording]), list_scenarios(recording)[:1]
    if seconds is not None:
        end = scenarios.start_frame + round(seconds / recording.dt_s)
        scenarios = dataclasses.replace(scenarios, end_frame=end)
    goal = goals_beside(scene, [recording], scenarios, 1, 215.0)
    return solve(scene, recording, scenarios, goal, task)


def wall(speed_mps=10.0, gap_from_m=np.inf):
    """Lane 0, filled bumper to bumper except for one gap of three vehicles."""
    return [
        Car(x_m, speed_mps=speed_mps)
        for x_m in np.arange(0.0, 700.0, 5.0)
        if not gap_from_m <= x_m < gap_from_m + 15.0
    ]


def test_empty_road_is_solvable_and_the_path_ends_in_the_lane():
    found = solution()
    assert found.solvable
    station, lateral, speed = found.path.T
    assert abs(lateral[0] - 4.0) < 0.4
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
    assert not solution(*others, task=Task(margin_m=6.0)).solvable


def test_time_limit():
    """At most 2 m/s² from 10 m/s: 215 m take at least 10.5 s."""
    assert not solution(seconds=10.0).solvable
    assert solution(seconds=11.5).solvable


def test_road_without_that_lane_on_one_side_goes_to_the_other():
    recording = straight_recording([Car(100.0, lane=0, speed_mps=10.0)], frames=300)
    scene, scenarios = Scene.build([recording]), list_scenarios(recording)[:1]
    left = goals_beside(scene, [recording], scenarios, 1, 215.0)
    start = torch.tensor(scenarios.vehicle), torch.tensor(scenarios.start_frame)
    place = left.place(scene.state(*start)[:, None, :2])
    assert place.lateral_m.item() == pytest.approx(-4.0, abs=0.1)
    assert place.left_m.item() == pytest.approx(215.0, abs=2.1)


def test_command(tmp_path, capsys):
    file, paths = tmp_path / "wall.h5", tmp_path / "paths.npz"
    straight_recording([EGO, *wall(speed_mps=9.0)[:1]], frames=300).save(file)
    main((file,), lanes=1, paths=paths)
    assert "solvable (100.0 %)" in capsys.readouterr().out
    with np.load(paths) as found:
        assert found["0"].shape[1] == 3
    with pytest.raises(InputError, match="--lanes 0"):
        main((file,), lanes=0)
