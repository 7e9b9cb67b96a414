"""A probe of the simulator predicts what its traffic then does."""

import functools

import pytest
import torch

from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.simulator_probe import SimulatorProbe
from envs.core.world import World
from envs.traffic.registry import traffic_by_name
from ppuu.kinematics import rollout
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.prediction_sources import RecordedSource, SimulatorSource
from ppuu.runtime.errors import InputError
from ppuu.world_models import tracks_spec
from tests.helpers import Car, straight_recording

SEEN = ObservationConfig(vehicles=6)
COPYABLE = ("replay", "until-disturbed", "reactive", "policy:idm")


@functools.cache
def world() -> World:
    places = [(0, 10, 0), (22, 5, 0), (5, 9, 1), (30, 4, 1), (-14, 14, 1), (12, 7, 2), (-9, 12, 0)]
    cars = [Car(float(x), lane, float(speed)) for x, speed, lane in places]
    return World.build([straight_recording(cars, 60)], ScenarioConfig(distance_m=20.0))


def simulator_among(others, episodes=3):
    among = world()
    traffic = traffic_by_name(others, among.scene, among.recordings)
    simulator = Simulator(among.scene, among.road_map, SimulatorConfig(SEEN), traffic)
    simulator.reset(among.scenarios[:episodes])
    return simulator


@pytest.mark.parametrize("others", COPYABLE)
def test_traffic_does_what_the_probe_predicts(others):
    simulator = simulator_among(others)
    for _ in range(3):
        simulator.step(torch.zeros(3, 2))
    tracks = simulator.observe().tracks
    before = simulator.state_dict()
    # Two candidates for each: brake hard, or drift to the left.
    actions = torch.tensor([[-5.0, 0.0], [1.0, 0.004]]).repeat(3, 1)
    path = rollout(simulator.state.repeat_interleave(2, 0), actions[:, None].expand(-1, 8, -1), 0.1)
    probed = SimulatorProbe.of(simulator).rollout(path, tracks.repeat(2).vehicle)
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
                    valid = (now.vehicle[env] == number) & now.valid[env]
                    if number >= 0 and valid.any():
                        actual = torch.cat(
                            [now.boxes[env, valid, :3], now.speed_mps[env, valid, None]], 1
                        )
                        predicted = probed[2 * env + choice, slot, frame]
                        torch.testing.assert_close(predicted, actual[0], atol=1e-4, rtol=1e-5)
    reacts = (probed[0::2] - probed[1::2]).abs().max() > 0.05
    assert reacts == (others != "replay")


def privileged_state_of(simulator, probe=True):
    others = simulator.neighbours()
    return PrivilegedState(
        simulator.scene, simulator.vehicle, simulator.frame, others.boxes, others.speed_mps,
        others.valid, simulator.road_map, SimulatorProbe.of(simulator) if probe else None,
    )  # fmt: skip


def test_the_probe_of_a_replay_is_the_recording():
    simulator = simulator_among("replay")
    observation, truth = simulator.observe(), privileged_state_of(simulator)
    rows = torch.tensor([0, 2])
    observation, truth = observation.take(rows), truth.take(rows)
    actions = torch.rand(2, 3, 4, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    start = observation.ego[:, -1, None].expand(-1, 3, -1)
    states = rollout(start, actions, 0.1, held=3)
    recorded, simulated = (
        kind(tracks_spec(SEEN)).predict(observation, truth, 4, 1, torch.Generator())(
            states, actions
        )
        for kind in (RecordedSource, SimulatorSource)
    )
    assert simulated.states.shape[:3] == (2, 3, 1)
    valid = recorded.valid[:, None, None, None, :, None]
    torch.testing.assert_close(
        (recorded.states * valid).expand_as(simulated.states),
        simulated.states * valid,
        atol=1e-4,
        rtol=1e-5,
    )
    assert torch.equal(recorded.valid, simulated.valid)
    torch.testing.assert_close(recorded.pose.expand_as(simulated.pose), simulated.pose)
    torch.testing.assert_close(recorded.road.road, simulated.road.road)


def test_a_simulator_source_needs_a_probe():
    simulator = simulator_among("replay")
    truth = privileged_state_of(simulator, probe=False)
    with pytest.raises(InputError, match="choose 'recorded'"):
        SimulatorSource(tracks_spec(SEEN)).predict(
            simulator.observe(), truth, 4, 1, torch.Generator()
        )


def test_a_vehicle_that_leaves_the_recording_keeps_its_velocity():
    simulator = simulator_among("replay", episodes=1)
    observation, truth = simulator.observe(), privileged_state_of(simulator)
    steps = 40  # 12 s, the recording has 6
    actions = torch.zeros(1, 1, steps, 2)
    states = rollout(observation.ego[:, -1, None], actions, 0.1, held=3)
    for kind in (RecordedSource, SimulatorSource):
        function = kind(tracks_spec(SEEN)).predict(observation, truth, steps, 1, torch.Generator())
        prediction = function(states, actions)
        others = prediction.states[0, 0, 0, :, prediction.valid[0]]
        speed = (others[1:, :, :2] - others[:-1, :, :2]).norm(dim=-1) / 0.3
        torch.testing.assert_close(speed, others[1:, :, 3], atol=0.05, rtol=0.01)
