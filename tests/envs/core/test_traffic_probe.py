"""Trying out a simulator's others tells what they then really do."""

import functools

import pytest
import torch

from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.traffic_probe import Tryout
from envs.core.world import World
from envs.traffic.registry import traffic_by_name
from ppuu.kinematics import rollout
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.surroundings import Surroundings
from ppuu.prediction_sources import RecordedSource, SimulatorSource
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

SEEN = ObservationConfig(vehicles=6)
COPYABLE = ("replay", "until-disturbed", "reactive", "policy:idm")


@functools.cache
def world() -> World:
    places = [(0, 10, 0), (22, 5, 0), (5, 9, 1), (30, 4, 1), (-14, 14, 1), (12, 7, 2), (-9, 12, 0)]
    cars = [Car(float(x), lane, float(speed)) for x, speed, lane in places]
    return World.build([straight_recording(cars, 60)], ScenarioConfig(distance_m=20.0))


def simulator_among(others, episodes=3):
    found = world()
    roads = [recording.road for recording in found.recordings]
    traffic = traffic_by_name(others, found.scene, roads)
    simulator = Simulator(found.scene, found.road_map, SimulatorConfig(SEEN), traffic)
    simulator.reset(found.scenarios[:episodes])
    return simulator


@pytest.mark.parametrize("others", COPYABLE)
def test_others_do_what_was_tried_out(others):
    simulator = simulator_among(others)
    for _ in range(3):
        simulator.step(torch.zeros(3, 2))
    tracks = simulator.observe().tracks
    before = simulator.state_dict()
    # Two candidates for each: brake hard, or drift to the left.
    actions = torch.tensor([[-5.0, 0.0], [1.0, 0.004]]).repeat(3, 1)
    path = rollout(simulator.state.repeat_interleave(2, 0), actions[:, None].expand(-1, 8, -1), 0.1)
    told = Tryout.of(simulator).others_along(path, tracks.repeat(2).vehicle)
    after = simulator.state_dict()
    torch.testing.assert_close(after, before, atol=0, rtol=0, equal_nan=True)
    for choice in range(2):
        true = simulator.clone()
        for frame in range(8):
            running = ~true.done
            true.step(actions[choice::2])
            now = true.neighbours()
            for env in running.nonzero()[:, 0].tolist():
                for slot, number in enumerate(tracks.vehicle[env].tolist()):
                    here = (now.vehicle[env] == number) & now.valid[env]
                    if number >= 0 and here.any():
                        place = torch.cat(
                            [now.boxes[env, here, :3], now.speed_mps[env, here, None]], 1
                        )
                        found = told[2 * env + choice, slot, frame]
                        torch.testing.assert_close(found, place[0], atol=1e-4, rtol=1e-5)
    reacts = (told[0::2] - told[1::2]).abs().max() > 0.05
    assert reacts == (others != "replay")


def surroundings_of(simulator, tried=True):
    others = simulator.neighbours()
    return Surroundings(
        simulator.scene, simulator.vehicle, simulator.frame, others.boxes, others.speed_mps,
        others.valid, simulator.road_map, Tryout.of(simulator) if tried else None,
    )  # fmt: skip


def test_the_oracle_among_a_replay_is_the_recording():
    simulator = simulator_among("replay")
    observation, truth = simulator.observe(), surroundings_of(simulator)
    rows = torch.tensor([0, 2])
    observation, truth = observation.take(rows), truth.take(rows)
    actions = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    start = observation.ego[:, -1, None].expand(-1, 3, -1)
    states = rollout(start, actions, 0.1, held=3)
    recorded, tried = (
        kind(SEEN).predict(observation, truth, 4, 1, torch.Generator())(states, actions)
        for kind in (RecordedSource, SimulatorSource)
    )
    assert tried.states.shape[:3] == (2, 3, 1)
    here = recorded.valid[:, None, None, None, :, None]
    torch.testing.assert_close(
        (recorded.states * here).expand_as(tried.states), tried.states * here, atol=1e-4, rtol=1e-5
    )
    assert torch.equal(recorded.valid, tried.valid)
    torch.testing.assert_close(recorded.pose.expand_as(tried.pose), tried.pose)
    torch.testing.assert_close(recorded.road.road, tried.road.road)


def test_without_a_simulator_there_is_no_oracle():
    simulator = simulator_among("replay")
    truth = surroundings_of(simulator, tried=False)
    with pytest.raises(InputError, match="choose 'recorded'"):
        SimulatorSource(SEEN).predict(simulator.observe(), truth, 4, 1, torch.Generator())


def test_who_leaves_the_recording_drives_on():
    simulator = simulator_among("replay", episodes=1)
    observation, truth = simulator.observe(), surroundings_of(simulator)
    steps = 40  # 12 s, the recording has 6
    actions = torch.zeros(1, 1, steps, 2)
    states = rollout(observation.ego[:, -1, None], actions, 0.1, held=3)
    for kind in (RecordedSource, SimulatorSource):
        function = kind(SEEN).predict(observation, truth, steps, 1, torch.Generator())
        told = function(states, actions)
        found = told.states[0, 0, 0, :, told.valid[0]]
        speed = (found[1:, :, :2] - found[:-1, :, :2]).norm(dim=-1) / 0.3
        torch.testing.assert_close(speed, found[1:, :, 3], atol=0.05, rtol=0.01)
