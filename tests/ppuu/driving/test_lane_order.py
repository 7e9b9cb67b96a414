"""Leaders and followers against a plain search, and the gaps between them."""

import numpy as np
import pytest
import torch

from ppuu.driving.gaps import gap_along_lane, gaps_to_leaders
from ppuu.driving.lane_order import NO_VEHICLE, LaneOrder, consecutive_rows

ENVS, VEHICLES, LANES = 40, 12, 4


def random_traffic() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(-1, LANES, (ENVS, VEHICLES), generator=generator)
    second = torch.where(first % 2 == 0, first + 1, -1)
    return torch.stack([first, second], -1), 300 * torch.rand(ENVS, VEHICLES, generator=generator)


def nearest(lanes, station, env, lane, at, ahead: bool) -> int:
    """The vehicle ahead of (or not ahead of) a station in a lane, by looking at all of them."""
    inside = [v for v in range(VEHICLES) if lane in lanes[env, v].tolist()]
    if ahead:
        inside = [v for v in inside if station[env, v] > at]
        return min(inside, key=lambda v: station[env, v], default=NO_VEHICLE)
    inside = [v for v in inside if station[env, v] <= at]
    return max(inside, key=lambda v: station[env, v], default=NO_VEHICLE)


def test_leaders_are_those_of_a_plain_search():
    lanes, station = random_traffic()
    leaders = LaneOrder.of(lanes, station).leaders()
    for env in range(ENVS):
        for vehicle in range(VEHICLES):
            for column, lane in enumerate(lanes[env, vehicle].tolist()):
                expected = NO_VEHICLE
                if lane >= 0:
                    expected = nearest(lanes, station, env, lane, station[env, vehicle], True)
                assert leaders[env, vehicle, column] == expected


@pytest.mark.parametrize("envs", [2, ENVS])
def test_neighbours_of_places_are_those_of_a_plain_search(envs):
    lanes, station = random_traffic()
    order = LaneOrder.of(lanes, station)
    generator = torch.Generator().manual_seed(1)
    env = torch.randint(envs, (200,), generator=generator)
    lane = torch.randint(-1, LANES + 2, (200,), generator=generator)
    at = 320 * torch.rand(200, generator=generator) - 10
    ahead, behind = order.around(env, lane, at)
    for k, place in enumerate(zip(env.tolist(), lane.tolist(), at, strict=True)):
        sides = [nearest(lanes, station, *place, side) for side in (True, False)]
        expected = sides if place[1] >= 0 else [NO_VEHICLE] * 2
        assert [int(ahead[k]), int(behind[k])] == expected


def test_gap_is_between_bumpers_along_the_lane():
    angle = torch.tensor(0.6)
    along = torch.stack([angle.cos(), angle.sin()])
    left = torch.stack([-angle.sin(), angle.cos()])
    follower = torch.cat([torch.tensor([5.0, 1.0]), torch.tensor([0.6, 4.0, 2.0])])
    leader = torch.cat([follower[:2] + 20 * along + 0.7 * left, torch.tensor([0.5, 6.0, 2.0])])
    torch.testing.assert_close(gap_along_lane(follower, angle, leader), torch.tensor(15.0))
    index = torch.tensor([[[1, NO_VEHICLE]]])
    boxes = torch.stack([follower, leader])[None]
    found = gaps_to_leaders(boxes, angle.expand(1, 2), index)
    torch.testing.assert_close(found, torch.tensor([[[15.0, torch.inf]]]))


def test_consecutive_rows_agree_in_every_group():
    along = np.array([30.0, 10.0, 20.0, 15.0, 40.0])
    lane, frame = np.array([1, 1, 1, 2, 1]), np.array([0, 0, 0, 0, 1])
    behind, ahead = consecutive_rows(along, lane, frame)
    assert list(zip(behind.tolist(), ahead.tolist(), strict=True)) == [(1, 2), (2, 0)]
