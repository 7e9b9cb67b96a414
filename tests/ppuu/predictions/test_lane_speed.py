"""The speed of the ego's lane: momentum over mass, with the wider section as a prior."""

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
    """The prior speed counts as a small mass."""
    weight = lane_speed._PRIOR_MASS_M2
    return (momentum + weight * prior) / (mass + weight)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_by_hand(drawn):
    """6 and 8 m/s in the ego's lane, 11 m/s beside it, 30 m/s far ahead."""
    beside = drawn_towards(OWN, (6 + 8 + 11) * AREA, 3 * AREA)
    result = speed(
        (8.0, 0.3, 0.0, 6.0), (-9.0, -0.2, 0.0, 8.0), (1.0, LANE_M, 0.0, 11.0),
        (60.0, 0.0, 0.0, 30.0), drawn=drawn,
    )  # fmt: skip
    assert result == pytest.approx(drawn_towards(beside, (6 + 8) * AREA, 2 * AREA), abs=0.02)
    assert result == pytest.approx(7.0, abs=0.25)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_an_empty_lane_has_the_speed_of_adjacent_lanes(drawn):
    result = speed((5.0, LANE_M, 0.0, 5.0), (-3.0, -LANE_M, 0.0, 5.0), drawn=drawn)
    assert result == pytest.approx(drawn_towards(OWN, 10 * AREA, 2 * AREA), abs=0.05)
    assert result == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_without_vehicles_it_is_the_egos_speed(drawn):
    assert speed(drawn=drawn) == pytest.approx(OWN)
    assert speed((60.0, 0.0, 0.0, 2.0), drawn=drawn) == pytest.approx(OWN)


def test_vehicles_in_the_egos_lane_count_more_than_those_beside_it():
    """The same two vehicles, the ego behind either."""
    pair = ((9.0, 0.0, 0.0, 4.0), (9.0, LANE_M, 0.0, 14.0))
    slow, fast = speed(*pair), speed(*pair, ego=(0.0, LANE_M, 0.0, OWN))
    assert slow == pytest.approx(4.0, abs=0.7)
    assert fast == pytest.approx(14.0, abs=0.7)


@pytest.mark.parametrize("drawn", [False, True], ids=["boxes", "images"])
def test_it_is_continuous_when_a_vehicle_leaves_the_lane(drawn):
    """No step of 10 cm changes the speed by more than a tenth of what there is to change."""
    y = torch.linspace(0.0, 9.0, 91).tolist()
    rollout = rollout_among(
        [(9.0, 0.0, 0.0, *CAR)], [(0.0, -left, 0.0, OWN) for left in y], speed_mps=[3.0],
        drawn=drawn,
    )  # fmt: skip
    result = rollout.lane_speed_mps.flatten()
    assert result[0] == pytest.approx(3.0, abs=0.2)
    assert result[-1] == pytest.approx(OWN)
    assert (result.diff() > -1e-3).all()
    assert result.diff().max() < 0.7


def test_it_is_continuous_when_a_vehicle_falls_back():
    x = torch.linspace(5.0, 30.0, 251).tolist()
    rollout = rollout_among(
        [(0.0, 0.0, 0.0, *CAR)], [(ahead, 0.0, 0.0, OWN) for ahead in x], speed_mps=[3.0]
    )
    result = rollout.lane_speed_mps.flatten()
    assert result[0] < 3.2 and result[-1] == OWN
    assert (result.diff() >= 0).all()
    assert result.diff().max() < 0.7


def test_oncoming_vehicles_count_negatively_and_crossing_ones_not():
    assert speed((5.0, 0.0, math.pi, 5.0)) < 0
    crossing = speed((5.0, 0.0, 0.5 * math.pi, 5.0))
    assert crossing == pytest.approx(drawn_towards(drawn_towards(OWN, 0, AREA), 0, AREA), abs=0.1)


def test_the_lane_is_that_of_the_ego_at_each_time():
    """A path from behind the slow vehicle to behind the fast one."""
    rollout = rollout_among(
        [(9.0, 0.0, 0.0, *CAR), (9.0, LANE_M, 0.0, *CAR)],
        [(0.0, 0.0, 0.0, OWN), (0.0, 0.5 * LANE_M, 0.0, OWN), (0.0, LANE_M, 0.0, OWN)],
        speed_mps=[4.0, 14.0],
    )
    result = rollout.lane_speed_mps.flatten()
    assert result[0] < 5 and result[2] > 13
    assert result[1] == pytest.approx(9.0, abs=0.2)


def test_samples_are_averaged_and_candidates_are_not():
    rollout = crowd(rows=3, candidates=4, samples=5, time=2)
    result = lane_speed_mps(rollout.prediction, rollout.ego)
    assert result.shape == (3, 4, 2)
    again = rollout.prediction.interleave([rollout.prediction] * 2, 10)
    torch.testing.assert_close(lane_speed_mps(again, rollout.ego), result)
    assert (result[:, 0] - result[:, 1]).abs().max() > 0.1


def test_it_has_no_gradient():
    rollout = crowd()
    states = rollout.states.clone().requires_grad_()
    assert not replace(rollout, states=states).lane_speed_mps.requires_grad


def test_single_precision_gives_the_same():
    scene = ((8.0, 0.3, 0.1, 6.0), (-9.0, 2.0, 0.0, 8.0), (1.0, LANE_M, 0.0, 11.0))
    assert speed(*scene, dtype=torch.float32) == pytest.approx(speed(*scene), abs=1e-4)
