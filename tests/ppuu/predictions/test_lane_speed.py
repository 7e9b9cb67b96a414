"""The speed of the ego's lane: momentum over mass, and what is known from further away."""

import math
from dataclasses import replace

import pytest
import torch

from ppuu.predictions import lane_speed, lane_speed_mps
from tests.rollouts import crowd, rollout_among

CAR = (4.5, 1.8)
AREA = 4.5 * 1.8
LANE_M = 3.7
OWN = 10.0


def speed(*vehicles, drawn=False, ego=(0.0, 0.0, 0.0, OWN), dtype=torch.float64):
    """Of a lane with vehicles ``(x, y, heading, speed)`` in and beside it."""
    boxes = [(*vehicle[:3], *CAR) for vehicle in vehicles]
    rollout = rollout_among(
        boxes, [ego], speed_mps=[vehicle[3] for vehicle in vehicles], drawn=drawn, dtype=dtype
    )
    return float(rollout.lane_speed_mps)


def drawn_towards(prior, momentum, mass):
    """What is known from further away counts as little mass."""
    little = lane_speed._LITTLE_M2
    return (momentum + little * prior) / (mass + little)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_by_hand(drawn):
    """6 and 8 m/s in the ego's lane, 11 m/s beside it, 30 m/s far ahead."""
    beside = drawn_towards(OWN, (6 + 8 + 11) * AREA, 3 * AREA)
    found = speed(
        (8.0, 0.3, 0.0, 6.0), (-9.0, -0.2, 0.0, 8.0), (1.0, LANE_M, 0.0, 11.0),
        (60.0, 0.0, 0.0, 30.0), drawn=drawn,
    )  # fmt: skip
    assert found == pytest.approx(drawn_towards(beside, (6 + 8) * AREA, 2 * AREA), abs=0.02)
    assert found == pytest.approx(7.0, abs=0.25)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_in_an_empty_lane_the_lanes_beside_it_count(drawn):
    found = speed((5.0, LANE_M, 0.0, 5.0), (-3.0, -LANE_M, 0.0, 5.0), drawn=drawn)
    assert found == pytest.approx(drawn_towards(OWN, 10 * AREA, 2 * AREA), abs=0.05)
    assert found == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_where_nothing_is_near_it_is_the_egos_own(drawn):
    assert speed(drawn=drawn) == pytest.approx(OWN)
    assert speed((60.0, 0.0, 0.0, 2.0), drawn=drawn) == pytest.approx(OWN)


def test_vehicles_in_the_egos_lane_count_more_than_those_beside_it():
    """The same two vehicles, the ego behind either."""
    pair = ((9.0, 0.0, 0.0, 4.0), (9.0, LANE_M, 0.0, 14.0))
    slow, fast = speed(*pair), speed(*pair, ego=(0.0, LANE_M, 0.0, OWN))
    assert slow == pytest.approx(4.0, abs=0.7)
    assert fast == pytest.approx(14.0, abs=0.7)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_a_vehicle_that_leaves_the_lane_leaves_it_smoothly(drawn):
    """No step of 10 cm changes the speed by more than a tenth of what there is to change."""
    y = torch.linspace(0.0, 9.0, 91).tolist()
    rollout = rollout_among(
        [(9.0, 0.0, 0.0, *CAR)], [(0.0, -left, 0.0, OWN) for left in y], speed_mps=[3.0],
        drawn=drawn,
    )  # fmt: skip
    found = rollout.lane_speed_mps.flatten()
    assert found[0] == pytest.approx(3.0, abs=0.2)
    assert found[-1] == pytest.approx(OWN)
    assert (found.diff() > -1e-3).all()
    assert found.diff().max() < 0.7


def test_a_vehicle_that_falls_back_leaves_it_smoothly():
    x = torch.linspace(5.0, 30.0, 251).tolist()
    rollout = rollout_among(
        [(0.0, 0.0, 0.0, *CAR)], [(ahead, 0.0, 0.0, OWN) for ahead in x], speed_mps=[3.0]
    )
    found = rollout.lane_speed_mps.flatten()
    assert found[0] < 3.2 and found[-1] == OWN
    assert (found.diff() >= 0).all()
    assert found.diff().max() < 0.7


def test_oncoming_vehicles_count_backwards_and_those_across_not_at_all():
    assert speed((5.0, 0.0, math.pi, 5.0)) < 0
    crossing = speed((5.0, 0.0, 0.5 * math.pi, 5.0))
    assert crossing == pytest.approx(drawn_towards(drawn_towards(OWN, 0, AREA), 0, AREA), abs=0.1)


def test_the_lane_is_the_one_the_ego_is_in_then():
    """A path from behind the slow vehicle to behind the fast one."""
    rollout = rollout_among(
        [(9.0, 0.0, 0.0, *CAR), (9.0, LANE_M, 0.0, *CAR)],
        [(0.0, 0.0, 0.0, OWN), (0.0, 0.5 * LANE_M, 0.0, OWN), (0.0, LANE_M, 0.0, OWN)],
        speed_mps=[4.0, 14.0],
    )
    found = rollout.lane_speed_mps.flatten()
    assert found[0] < 5 and found[2] > 13
    assert found[1] == pytest.approx(9.0, abs=0.2)


def test_samples_are_averaged_and_candidates_are_not():
    rollout = crowd(rows=3, candidates=4, samples=5, time=2)
    found = lane_speed_mps(rollout.prediction, rollout.ego)
    assert found.shape == (3, 4, 2)
    again = rollout.prediction.interleave([rollout.prediction] * 2, 10)
    torch.testing.assert_close(lane_speed_mps(again, rollout.ego), found)
    assert (found[:, 0] - found[:, 1]).abs().max() > 0.1


def test_it_is_a_constant():
    rollout = crowd()
    states = rollout.states.clone().requires_grad_()
    assert not replace(rollout, states=states).lane_speed_mps.requires_grad


def test_of_single_precision_it_is_the_same():
    scene = ((8.0, 0.3, 0.1, 6.0), (-9.0, 2.0, 0.0, 8.0), (1.0, LANE_M, 0.0, 11.0))
    assert speed(*scene, dtype=torch.float32) == pytest.approx(speed(*scene), abs=1e-4)
