"""Which drivers' networks compute on another device; what they do there is in test_cuda.py."""

import pytest
import torch

from ppuu.policies.elsewhere import computing_on, moved, networks_of
from ppuu.policies.named import policy_by_name
from tests.helpers import dense_recording
from tests.rollouts import tiny_clips

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
