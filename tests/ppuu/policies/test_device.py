"""Policies whose networks compute on another device; what they do there is in test_cuda.py."""

import pytest
import torch
from torch import nn

from ppuu.loading.policy_names import policy_by_name
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.privileged_state import PrivilegedState
from ppuu.policies import Policy
from ppuu.policies.device import DevicePolicy, to_device
from ppuu.runtime.pytree import moved
from tests.helpers import dense_recording
from tests.rollouts import TINY, tiny_clips

SEEN = ObservationConfig(4, 3, TINY, vehicles=24)
CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.mark.parametrize("name", ["pretrained", "planner:pretrained"])
def test_networks_move(name):
    driver = policy_by_name(name)
    there = to_device(driver, META)
    assert there is not driver
    assert there.observation == driver.observation
    assert to_device(driver, torch.device("cpu")) is driver


def test_a_planner_takes_the_policy_that_seeds_it_along():
    driver = policy_by_name("planner:pretrained,policy=pretrained")
    networks = driver.networks()
    assert len(networks) == 2
    assert to_device(driver, META) is not driver
    assert {p.device for network in networks for p in network.parameters()} == {META}
    assert policy_by_name("planner:recorded").networks() == []


def test_a_privileged_planner_stays_where_it_is():
    driver = policy_by_name("planner:recorded,policy=pretrained")
    assert to_device(driver, META) is driver
    (seed,) = driver.networks()
    assert META not in {p.device for p in seed.parameters()}


@pytest.mark.parametrize("name", ["human", "no-action", "planner:recorded", "planner:idm"])
def test_drivers_without_a_network_stay(name):
    driver = policy_by_name(name)
    assert to_device(driver, META) is driver


def test_every_tensor_of_an_observation_moves():
    seen = tiny_clips([dense_recording()]).batch(torch.arange(2)).observation
    there = moved(seen, META)
    assert there.images.device == there.ego.device == there.size_m.device == META
    assert there.images.shape == seen.images.shape
    assert (there.road is None) == (seen.road is None)
    assert there.tracks is None or there.tracks.states.device == META


@pytest.fixture(scope="module")
def seen():
    """What two egos see, vehicles as tracks among it."""
    clips = tiny_clips([dense_recording()], config=SEEN)
    clip = clips.batch(torch.tensor([0, 700]))
    others = clips.scene.neighbours(clip.frame, clip.ego)
    around = PrivilegedState(
        clips.scene, clip.ego, clip.frame, others.boxes, others.speed_mps, others.valid,
        clips.road_map,
    )  # fmt: skip
    return clip.observation, around


def test_the_map_of_the_road_moves_once(seen):
    """It is by far the largest part of what is seen, and does not change."""
    observation, around = seen
    driver = Watching()
    there = to_device(driver, META)
    for _ in range(2):
        there.act(observation, around)
    first, second = driver.maps
    assert first.atlas is second.atlas
    assert first.atlas.device == META
    assert observation.road.road_map.atlas.device.type == "cpu"


def test_a_planner_on_another_device_shows_its_plans(seen):
    """Snapshots and planned paths are those of the planner itself."""
    name = "planner:pretrained,iterations=2,steps=4"
    planner = policy_by_name(name)
    # The same device under another name, since nothing can be computed on the device "meta".
    there = DevicePolicy(policy_by_name(name), CPU)
    assert there.plan_snapshots() == {}
    action = there.act(*seen)
    assert torch.equal(action, planner.act(*seen))
    path = there.planned_path_m()
    assert path.shape == (2, 5, 2)
    assert torch.equal(path, planner.planned_path_m())
    found, expected = there.plan_snapshots(), planner.plan_snapshots()
    assert found.keys() == expected.keys() == {0, 1}
    for row, snapshot in expected.items():
        assert len(snapshot.candidates_m) > 1 and len(snapshot.boxes)
        for name, value in vars(snapshot).items():
            assert (getattr(found[row], name) == value).all(), name
    # A new episode begins there, too.
    there.reset(torch.tensor([True, False]))
    planner.reset(torch.tensor([True, False]))
    assert torch.equal(there.act(*seen), planner.act(*seen))


def test_a_policy_that_does_not_plan_has_nothing_to_show(seen):
    there = DevicePolicy(Watching(), CPU)
    there.act(*seen)
    assert there.planned_path_m() is None
    assert there.plan_snapshots() == {}


class Watching(nn.Module, Policy):
    """Keeps the maps that it was shown."""

    def __init__(self):
        super().__init__()
        self.maps = []
        self.observation = SEEN

    def act(self, observation, privileged_state):
        self.maps.append(observation.road.road_map)
        return torch.zeros(len(observation.ego), 2)

    def networks(self):
        return [self]
