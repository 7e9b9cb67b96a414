"""Which drivers' networks compute on another device; what they do there is in test_cuda.py."""

import pytest
import torch
from torch import nn

from ppuu.observation import ObservationConfig
from ppuu.policies import Policy, Surroundings
from ppuu.policies.elsewhere import computing_on, moved, networks_of
from ppuu.policies.named import policy_by_name
from tests.helpers import dense_recording
from tests.rollouts import TINY, tiny_clips

ELSEWHERE = torch.device("meta")


@pytest.mark.parametrize("name", ["pretrained", "planner:pretrained"])
def test_networks_go(name):
    driver = policy_by_name(name)
    there = computing_on(driver, ELSEWHERE)
    assert there is not driver
    assert there.observation == driver.observation
    assert computing_on(driver, torch.device("cpu")) is driver


def test_a_planner_takes_the_policy_that_seeds_it_along():
    driver = policy_by_name("planner:pretrained,policy=pretrained")
    networks = networks_of(driver)
    assert len(networks) == 2
    assert computing_on(driver, ELSEWHERE) is not driver
    assert {p.device for network in networks for p in network.parameters()} == {ELSEWHERE}
    assert networks_of(policy_by_name("planner:recorded")) == []


def test_who_plans_beside_the_simulator_stays_whole():
    driver = policy_by_name("planner:recorded,policy=pretrained")
    assert computing_on(driver, ELSEWHERE) is driver
    (seed,) = networks_of(driver)
    assert ELSEWHERE not in {p.device for p in seed.parameters()}


@pytest.mark.parametrize("name", ["human", "no-action", "planner:recorded", "planner:idm"])
def test_drivers_without_a_network_stay(name):
    driver = policy_by_name(name)
    assert computing_on(driver, ELSEWHERE) is driver


def test_every_tensor_of_an_observation_moves():
    seen = tiny_clips([dense_recording()]).batch(torch.arange(2)).observation
    there = moved(seen, ELSEWHERE)
    assert there.images.device == there.ego.device == there.size_m.device == ELSEWHERE
    assert there.images.shape == seen.images.shape
    assert (there.road is None) == (seen.road is None)
    assert there.tracks is None or there.tracks.states.device == ELSEWHERE


def test_the_map_of_the_road_moves_once():
    """It is by far the largest part of what is seen, and does not change."""
    clips = tiny_clips([dense_recording()], config=ObservationConfig(3, 3, TINY, vehicles=4))
    clip = clips.batch(torch.arange(2))
    others = clips.scene.neighbours(clip.frame, clip.ego)
    around = Surroundings(
        clips.scene, clip.ego, clip.frame, others.boxes, others.speed_mps, others.present,
        clips.road_map,
    )  # fmt: skip
    driver = Watching()
    there = computing_on(driver, ELSEWHERE)
    for _ in range(2):
        there.act(clip.observation, around)
    first, second = driver.maps
    assert first.atlas is second.atlas
    assert first.atlas.device == ELSEWHERE
    assert clip.observation.road.road_map.atlas.device.type == "cpu"


class Watching(nn.Module, Policy):
    """Keeps the maps that it was shown."""

    def __init__(self):
        super().__init__()
        self.maps = []
        self.observation = ObservationConfig(3, 3, TINY, vehicles=4)

    def act(self, observation, surroundings):
        self.maps.append(observation.road.road_map)
        return torch.zeros(len(observation.ego), 2)
