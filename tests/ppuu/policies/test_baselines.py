"""Drivers without learning, and the network's bounds."""

import math
from dataclasses import replace

import pytest
import torch

from ppuu.geometry import to_world
from ppuu.kinematics import ActionBounds, step
from ppuu.perception.observation import Observation
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.policies import NetworkPolicyConfig, NoAction, Random, RecordedHuman, StraightIdm
from ppuu.policies.features import PixelsConfig
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from tests.helpers import Car, straight_recording
from tests.rollouts import TINY_OBSERVATION

SIZE = (4.5, 1.8)


def looking_at(ego, boxes=(), speeds=(), scene=None, frame=0):
    """An observation without images, and surroundings with some boxes."""
    scene = scene or Scene.build([straight_recording([Car(0.0)], frames=3)])
    ego = torch.tensor([ego])
    boxes = torch.tensor([list(boxes) or [(0.0,) * 3 + SIZE]])
    visible = torch.full(boxes.shape[:2], bool(speeds))
    speeds = torch.tensor([list(speeds) or [0.0]])
    road_map = RoadMap.build([Road.straight(400.0, 3, 3.7, start_m=-100.0)], RasterConfig())
    observation = Observation(torch.zeros(1, 1, 3, 1, 1), ego[:, None], torch.tensor([SIZE]))
    return observation, PrivilegedState(
        scene, torch.tensor([0]), torch.tensor([frame]), boxes, speeds, visible, road_map
    )


def nobody():
    """A scene that does not matter, with an empty road around the ego."""
    return looking_at((0.0, 0.0, 0.0, 10.0))


def behind(gap, speed, leader_speed, lateral=0.0, idm=None, origin=None):
    """IDM's acceleration behind (or beside) one vehicle."""
    ego = torch.tensor([0.0, 0.0, 0.0, speed])
    box = torch.tensor([gap + 4.5, lateral, 0.0, *SIZE])
    if origin is not None:
        ego, box = to_world(ego, torch.tensor(origin)), to_world(box, torch.tensor(origin))
    action = (idm or StraightIdm()).act(*looking_at(ego.tolist(), [box.tolist()], [leader_speed]))
    assert action.shape == (1, 2)
    assert action[0, 1] == 0
    return float(action[0, 0])


def test_no_action():
    observation, privileged_state = looking_at((1.0, 2.0, 0.3, 9.0))
    assert NoAction().act(observation, privileged_state).tolist() == [[0.0, 0.0]]


def test_random_actions_fill_their_bounds_and_depend_on_nobody_else():
    observation, state = looking_at((1.0, 2.0, 0.3, 9.0))
    frames = torch.arange(2000)
    every = torch.zeros(2000, dtype=torch.int64)
    many = replace(state.take(every), frame=frames)
    found = Random().act(observation.take(every), many) / ActionBounds().largest(observation.ego)
    assert found.abs().max() <= 1.0
    torch.testing.assert_close(found.mean(0), torch.zeros(2), atol=0.05, rtol=0)
    torch.testing.assert_close(found.square().mean(0), torch.full((2,), 1 / 3), atol=0.03, rtol=0)
    assert found.T.corrcoef()[0, 1].abs() < 0.05
    alone = Random().act(observation, replace(state, frame=frames[7:8]))
    assert alone.equal((found * ActionBounds().largest(observation.ego))[7:8])


def test_the_human_follows_its_track():
    recording = straight_recording(
        [Car(0.0, to_lane=1, change_frame=5), Car(50.0, lane=2)], frames=60
    )
    scene = Scene.build([recording])
    policy, ego = RecordedHuman(), scene.states[:1]
    for frame in range(59):
        observation, privileged_state = looking_at(ego[0].tolist(), scene=scene, frame=frame)
        ego = step(ego, policy.act(observation, privileged_state), scene.dt_s)
        assert (ego[0, :2] - scene.states[frame + 1, :2]).norm() < 0.02


def test_free_road():
    idm = StraightIdm()
    empty = looking_at((0.0, 0.0, 0.0, 0.0))
    assert float(idm.act(*empty)[0, 0]) == pytest.approx(idm.acceleration_mps2)
    assert float(
        idm.act(*looking_at((0.0, 0.0, 0.0, idm.desired_speed_mps)))[0, 0]
    ) == pytest.approx(0.0, abs=1e-6)
    assert float(idm.act(*looking_at((0.0, 0.0, 0.0, 1.2 * idm.desired_speed_mps)))[0, 0]) < 0


def test_idm_brakes_for_a_stopped_vehicle():
    assert behind(20.0, 10.0, 0.0) < -2.0
    assert behind(10.0, 10.0, 0.0) < behind(20.0, 10.0, 0.0)
    assert behind(2.0, 10.0, 0.0) == -6.0
    assert behind(20.0, 10.0, 0.0) < behind(20.0, 10.0, 10.0)
    turned = behind(20.0, 10.0, 0.0, origin=(30.0, -20.0, 2.0))
    assert turned == pytest.approx(behind(20.0, 10.0, 0.0), rel=1e-4)


def test_idm_ignores_who_is_not_ahead():
    free = behind(1e6, 10.0, 10.0)
    assert behind(5.0, 10.0, 0.0, lateral=3.7) == pytest.approx(free)
    assert behind(-15.0, 10.0, 0.0) == pytest.approx(free)
    # Reaching into the path counts, a flank 0.3 m away just does not.
    assert behind(5.0, 10.0, 0.0, lateral=1.8 + 0.2) < -2.0
    assert behind(5.0, 10.0, 0.0, lateral=-1.8 - 0.31) == pytest.approx(free)


def test_idm_takes_the_nearest_and_skips_empty_slots():
    boxes = [(0.0, 0.0, 0.0, *SIZE), (40.0, 0.0, 0.0, *SIZE), (20.0, 0.0, 0.0, *SIZE)]
    observation, privileged_state = looking_at((0.0, 0.0, 0.0, 10.0), boxes, [0.0, 10.0, 3.0])
    privileged_state.valid[0, 0] = False
    found = float(StraightIdm().act(observation, privileged_state)[0, 0])
    assert found == pytest.approx(behind(15.5, 10.0, 3.0))


@pytest.mark.parametrize("speed", [3.0, 8.0, 12.0])
def test_the_equilibrium_gap(speed):
    """Treiber et al. (2000), eq. 3 at equal speeds."""
    idm = StraightIdm()
    gap = (idm.standstill_gap_m + speed * idm.headway_s) / math.sqrt(
        1 - (speed / idm.desired_speed_mps) ** 4
    )
    assert behind(gap, speed, speed) == pytest.approx(0.0, abs=1e-5)
    assert behind(gap * 0.9, speed, speed) < 0 < behind(gap * 1.1, speed, speed)


def test_idm_stops_behind_a_standing_vehicle():
    ego, idm = torch.tensor([[0.0, 0.0, 0.0, 12.0]]), StraightIdm()
    for _ in range(400):
        action = idm.act(*looking_at(ego[0].tolist(), [(80.0, 0.0, 0.0, *SIZE)], [0.0]))
        ego = step(ego, action, 0.1)
    gap = 80.0 - float(ego[0, 0]) - 4.5
    assert float(ego[0, 3]) < 0.2
    assert 1.0 < gap < 4.0


@pytest.fixture
def network():
    torch.manual_seed(0)
    return NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8).build()


def random_observation(batch=16):
    raster, frames = TINY_OBSERVATION.raster, TINY_OBSERVATION.frames
    generator = torch.Generator().manual_seed(0)
    return Observation(
        torch.rand(batch, frames, 3, raster.rows, raster.columns, generator=generator),
        20 * torch.randn(batch, frames, 4, generator=generator),
        torch.rand(batch, 2, generator=generator) + 2,
    )


def test_a_fresh_network_does_nothing(network):
    assert (network(random_observation()) == 0).all()


def test_a_network_keeps_its_bounds(network):
    with torch.no_grad():
        network.head.last.weight.normal_(0, 100.0)
    observation = random_observation()
    actions = network(observation)
    lateral = actions[:, 1].abs() * observation.ego[:, -1, 3].square()
    assert (actions.abs() <= torch.tensor([6.0, 0.065])).all()
    assert (actions[:, 0].abs() > 0.9 * 6.0).any()
    assert 0.9 * 6.0 < lateral.max() <= 6.0 * (1 + 1e-6)
    acted = network.act(observation, nobody()[1])
    torch.testing.assert_close(acted, actions)
    assert not acted.requires_grad


def test_the_same_output_is_the_same_lateral_acceleration_once_it_is_fast(network):
    """Below sqrt(6 / 0.065) = 9.6 m/s the wheel is the limit, above it the tyres."""
    with torch.no_grad():
        network.head.last.bias.fill_(0.3)
    observation = random_observation(4)
    observation.ego[:, -1, 3] = torch.tensor([0.0, 9.0, 20.0, 40.0])
    half = math.tanh(0.3)
    expected = torch.tensor([0.065, 0.065, 6.0 / 400, 6.0 / 1600]) * half
    torch.testing.assert_close(network(observation)[:, 1].detach(), expected)


def test_a_network_sees_vehicles_road_and_its_own_motion(network):
    with torch.no_grad():
        network.head.last.weight.normal_(0, 1.0)
    observation = random_observation(2)
    observation.images.requires_grad_(), observation.ego.requires_grad_()
    network(observation).sum().backward()
    seen = observation.images.grad.abs().sum((0, 3, 4))
    # Vehicles in every frame; lanes and off-road area in the present one.
    assert (seen[:, 1] > 0).all()
    assert (seen[-1] > 0).all()
    assert (seen[:-1, [0, 2]] == 0).all()
    assert observation.ego.grad.abs().sum() > 0
