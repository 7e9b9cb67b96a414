"""All vehicles driven by one policy."""

import functools

import pytest
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig
from envs.core.simulator import Simulator, SimulatorConfig
from envs.core.world import World
from envs.traffic import policy_traffic
from envs.traffic.policy_traffic import PolicyTraffic
from envs.traffic.registry import traffic_by_name
from ppuu.perception.observation import ObservationConfig, observe
from ppuu.policies import NetworkPolicyConfig, NoAction, Policy
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording

STATES_ONLY = SimulatorConfig(observation=None)


@functools.cache
def dense_world() -> World:
    return World.build([generate(PRESETS["dense"], 8.0, seed=3)], ScenarioConfig(distance_m=30.0))


def among(policy: Policy, world: World, envs: int) -> Simulator:
    traffic = PolicyTraffic(world.scene, world.recordings, policy)
    simulator = Simulator(world.scene, world.road_map, STATES_ONLY, traffic)
    simulator.reset(world.scenarios[:envs])
    return simulator


class Brakes(Policy):
    """Brakes gently, and counts for how many."""

    def __init__(self):
        self.decided = []

    def act(self, observation, privileged_state):
        self.decided.append(len(observation.ego))
        return observation.ego.new_tensor([[-1.0, 0.0]]).expand(len(observation.ego), 2)


def test_all_vehicles_but_the_ego_follow_the_policy():
    cars = [Car(x_m=40.0 * k, lane=k % 3, speed_mps=12.0) for k in range(6)]
    world = World.build([straight_recording(cars)], ScenarioConfig(distance_m=50.0))
    simulator = among(Brakes(), world, 1)
    for _ in range(20):
        simulator.step(torch.zeros(1, 2))
    others = simulator.neighbours()
    torch.testing.assert_close(others.speed_mps[others.valid], torch.full((5,), 10.0))
    assert simulator.state[0, 3] == 12.0
    moved = others.boxes[others.valid][:, 0] - torch.tensor([40.0 * k for k in range(1, 6)])
    # 12 m/s for the second of history, then 2 s from 12 down to 10.
    torch.testing.assert_close(moved, torch.full((5,), 12.0 + 22.0), atol=1e-3, rtol=0)


def test_each_driver_decides_once_in_three_frames():
    policy = Brakes()
    simulator = among(policy, dense_world(), 2)
    there = int(simulator.neighbours().valid.sum())
    steps = 7
    for _ in range(steps):
        simulator.step(torch.zeros(2, 2))
    at_first, later = policy.decided[0], policy.decided[1:]
    assert at_first == there
    assert sum(later) == pytest.approx(there * (steps - 1) / policy_traffic.DECIDE_FRAMES, rel=0.1)


class Keeps(Policy):
    """Remembers what it was shown."""

    def act(self, observation, privileged_state):
        self.shown, self.privileged_state = observation, privileged_state
        return observation.ego.new_zeros(len(observation.ego), 2)


def test_each_driver_sees_what_an_ego_would_see():
    """At an episode's start all vehicles are where they were recorded and observe the recording."""
    world, keeps = dense_world(), Keeps()
    seen = ObservationConfig(vehicles=24)
    keeps.observation = seen
    simulator = among(keeps, world, 1)
    # Of the newest comers, what was before their tracks is made up.
    frame = simulator.frame.clone()
    others = simulator.neighbours()
    vehicle = others.vehicle[0][others.valid[0]]
    old = frame - world.scene.first_frame[vehicle] >= seen.span
    simulator.step(torch.zeros(1, 2))
    chosen = torch.arange(len(vehicle))[old][::9]
    true = observe(world.scene, world.road_map, seen, vehicle[chosen], frame.expand(len(chosen)))
    torch.testing.assert_close(keeps.shown.ego[chosen], true.ego)
    torch.testing.assert_close(keeps.shown.size_m[chosen], true.size_m)
    # At the edge of a frame one may see newcomers' made-up pasts.
    apart = (keeps.shown.images[chosen] - true.images).abs()
    torch.testing.assert_close(apart[:, -1], torch.zeros_like(apart[:, -1]), atol=2e-4, rtol=0)
    assert (apart.flatten(1).amax(1) < 2e-4).float().mean() > 0.5
    assert torch.equal(keeps.shown.tracks.valid_now[chosen], true.tracks.valid_now)
    torch.testing.assert_close(keeps.shown.tracks.now[chosen], true.tracks.now)
    around = keeps.privileged_state
    assert torch.equal(around.valid[chosen].sum(1), torch.full((len(chosen),), len(vehicle)))


def test_a_batch_is_its_episodes_and_goes_on_where_it_was_saved():
    torch.manual_seed(0)
    policy = NetworkPolicyConfig().build().eval()
    torch.nn.init.normal_(policy.head.last.weight, std=0.05)
    world = dense_world()
    both, alone = among(policy, world, 2), among(policy, world, 1)
    for _ in range(3):
        for simulator in (both, alone):
            simulator.step(torch.zeros(simulator.envs, 2))
    saved = both.clone()
    for simulator in (both, alone, saved):
        simulator.step(torch.zeros(simulator.envs, 2))
    boxes = [simulator.neighbours().boxes for simulator in (both, alone, saved)]
    torch.testing.assert_close(boxes[0][:1], boxes[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(boxes[0], boxes[2], atol=0, rtol=0)


def test_names(tmp_path):
    world = dense_world()
    traffic = traffic_by_name("policy:no-action", world.scene, world.recordings)
    assert isinstance(traffic, PolicyTraffic) and isinstance(traffic.policy, NoAction)
    with pytest.raises(InputError, match="--others replay"):
        traffic_by_name("policy:human", world.scene, world.recordings)
    with pytest.raises(InputError, match="neither a run directory nor one of"):
        traffic_by_name("policy:nowhere", world.scene, world.recordings)
