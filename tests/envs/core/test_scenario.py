"""Scenarios follow from the recording and the rules alone."""

import json

import numpy as np
import pytest

from envs.core.scenario import ScenarioConfig, Scenarios, list_scenarios
from envs.core.world import World
from ppuu.perception.goal import NODE_SPACING_M
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


def test_a_goal_is_where_the_human_was_after_the_distance():
    recording = straight_recording([Car(0.0, speed_mps=20.0)], frames=200)
    scenarios = list_scenarios(recording)
    assert len(scenarios) == 1 and scenarios.goal_m[0] == 215.0
    assert scenarios.start_frame[0] == 10
    # 215 m at 2 m a frame: the 108th frame after the start is the first beyond.
    assert scenarios.human_frames[0] == 108
    route = scenarios.route_m[0]
    np.testing.assert_allclose(route[:, 0], 20.0 + NODE_SPACING_M * np.arange(len(route)))
    np.testing.assert_allclose(route[:, 1], 2.0)
    assert len(route) * NODE_SPACING_M > 215.0 + 40.0
    # The window ends before the time limit: most of the way is enough then.
    assert scenarios.end_frame[0] == 199 and scenarios.enough_m[0] == 0.9 * 215.0


def test_the_time_limit_ends_slow_drives():
    recording = straight_recording([Car(0.0, speed_mps=5.0)], frames=600)
    assert (list_scenarios(recording).goal_m == 215.0).all()
    short = ScenarioConfig(time_limit_s=30.0)
    scenarios = list_scenarios(recording, short)
    np.testing.assert_allclose(scenarios.goal_m, 150.0)
    assert scenarios.end_frame[0] == 310 and np.isinf(scenarios.enough_m[0])


def test_where_someone_has_a_goal_those_without_are_left_out():
    cars = [Car(0.0, speed_mps=20.0), Car(30.0, lane=1), Car(0.0, lane=2, speed_mps=21.0)]
    recording = straight_recording(cars, frames=130)
    assert list_scenarios(recording).vehicle.tolist() == [0, 2]
    everyone = list_scenarios(recording, ScenarioConfig(distance_m=400.0))
    assert everyone.vehicle.tolist() == [0, 1, 2] and (everyone.goal_m < 400.0).all()


def test_without_a_goal_the_end_is_the_humans():
    cars = [Car(0.0, first_frame=5, frames=80), Car(30.0, lane=1)]
    scenarios = list_scenarios(straight_recording(cars, frames=100))
    assert scenarios.start_frame.tolist() == [15, 10]
    assert scenarios.end_frame.tolist() == [84, 99]
    np.testing.assert_allclose(scenarios.goal_m, [69.0, 89.0])
    np.testing.assert_allclose(scenarios.enough_m, 0.9 * scenarios.goal_m)
    # Beyond the human's end the route goes on straight.
    np.testing.assert_allclose(np.diff(scenarios.route_m, axis=1)[..., 0], NODE_SPACING_M)


def test_who_hardly_moves_is_no_scenario():
    cars = [Car(0.0, speed_mps=1.0), Car(0.0, lane=1, speed_mps=2.0)]
    recording = straight_recording(cars, frames=121)
    assert list_scenarios(recording).vehicle.tolist() == [1]
    near = ScenarioConfig(minimum_m=5.0)
    assert list_scenarios(recording, near).vehicle.tolist() == [0, 1]


def test_a_window_is_respected():
    cars = [Car(0.0, speed_mps=20.0), Car(50.0, lane=1, first_frame=150, speed_mps=20.0)]
    recording = straight_recording(cars, frames=400)
    scenarios = list_scenarios(recording, first_frame=100, last_frame=300)
    assert scenarios.start_frame.tolist() == [110, 160]
    assert (scenarios.end_frame == 299).all()
    assert len(list_scenarios(recording, first_frame=100, last_frame=220)) == 1


def test_short_tracks_are_no_scenarios():
    recording = straight_recording([Car(0.0, frames=40), Car(0.0, lane=1, frames=41)], frames=60)
    assert list_scenarios(recording).vehicle.tolist() == [1]
    assert not len(list_scenarios(recording, ScenarioConfig(minimum_frames=50)))


def test_the_digest_tells_lists_apart():
    recording = straight_recording([Car(0.0), Car(30.0)])
    digest = list_scenarios(recording).digest
    assert list_scenarios(straight_recording([Car(0.0), Car(30.0)])).digest == digest
    others = [
        list_scenarios(straight_recording([Car(0.0), Car(31.0)])),
        list_scenarios(recording, ScenarioConfig(distance_m=100.0)),
        list_scenarios(recording, first_frame=1),
    ]
    assert len({digest, *(other.digest for other in others)}) == 4


def test_lists_of_recordings_are_joined_and_cut():
    parts = [list_scenarios(straight_recording([Car(0.0), Car(x)])) for x in (30.0, 40.0)]
    both = Scenarios.concatenate(parts)
    assert both.recording.tolist() == [0, 0, 1, 1] and len(both) == 4
    assert both[1].vehicle.tolist() == [1] and both[[3, 0]].recording.tolist() == [1, 0]
    assert both[both.vehicle == 0].recording.tolist() == [0, 1]
    rows = json.loads(json.dumps(both.rows(), allow_nan=False))
    assert rows[2]["recording"] == 1 and "route_m" not in rows[2]


def test_a_recording_without_scenarios_is_left_out():
    long = straight_recording([Car(0.0)], name="long")
    short = straight_recording([Car(0.0)], frames=12, name="short")
    world = World.build([short, long, short])
    assert world.scenarios.recording.tolist() == [1]
    assert world.scenarios.start_frame.dtype == np.int64
    with pytest.raises(InputError, match=r"'short' and 1 more: .* no track lasts"):
        World.build([short, short])
