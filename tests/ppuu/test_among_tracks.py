"""Costs among boxes: the compiled passes against tensor operations, and hand-worked values."""

from dataclasses import replace

import pytest
import torch

from ppuu.costs import (
    Contact,
    DrivingCost,
    DrivingCostConfig,
    Lane,
    Offroad,
    Proximity,
    among_tracks,
)
from ppuu.geometry import clearance
from ppuu.raster import LocalRoad, RasterConfig, RoadMap
from ppuu.rollout import Rollout
from ppuu.track_futures import TrackFutures
from tests.helpers import dense_recording

ROAD_MAP = RoadMap.build([dense_recording().road], RasterConfig())


def crowd(rows=40, futures=2, time=3, slots=9, seed=0):
    """Egos amid vehicles at random places near them, some slots free."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape, low, high):
        return low + (high - low) * torch.rand(*shape, generator=generator)

    ego = torch.stack(
        [
            uniform(rows, time, low=a, high=b)
            for a, b in ((100, 110), (-20, 2), (-0.3, 0.3), (0, 15))
        ],
        dim=-1,
    )
    others = torch.stack(
        [
            uniform(rows, futures, time, slots, low=a, high=b)
            for a, b in ((80, 130), (-20, 2), (-0.5, 0.5), (0, 15))
        ],
        dim=-1,
    )
    size = torch.tensor([4.6, 1.9]) + uniform(rows, 2, low=-0.3, high=0.3)
    futures = TrackFutures(
        others,
        torch.tensor([4.8, 2.0]) + uniform(rows, slots, 2, low=-0.5, high=0.5),
        uniform(rows, slots, low=0, high=1) < 0.8,
        LocalRoad(ROAD_MAP, torch.zeros(rows, dtype=torch.int64)),
        ego[..., :3],
        RasterConfig(),
    )
    return Rollout(ego, torch.zeros(rows, time, 2), torch.zeros(rows, 2), size, futures, 0.3)


def by_tensors(rollout, config):
    return (
        config.contact.per_future(rollout), config.proximity.per_future(rollout),
        config.lane(rollout), config.offroad(rollout),
    )  # fmt: skip


@pytest.mark.parametrize("which", range(4))
def test_compiled_passes_equal_tensor_operations(which):
    config = DrivingCostConfig()
    slow, fast = crowd(), crowd()
    slow.states.requires_grad_()
    fast.states.requires_grad_()
    assert among_tracks.applies(fast)
    expected = by_tensors(slow, config)[which]
    found = among_tracks.among_tracks(fast, config)
    got = (found.contact, found.proximity, found.lane, found.offroad)[which]
    torch.testing.assert_close(got, expected, atol=2e-4, rtol=1e-4)
    assert expected.abs().max() > 0.1
    weight = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (expected * weight).sum().backward()
    (got * weight).sum().backward()
    error = (fast.states.grad - slow.states.grad).abs()
    # Where a point lies on a node's edge, rounding decides between two slopes.
    assert error.median() < 1e-4
    assert (error > 1e-3 * (1 + slow.states.grad.abs())).float().mean() < 0.02


def test_the_whole_cost_is_the_same_either_way(monkeypatch):
    fast = DrivingCost().evaluate(crowd())
    monkeypatch.setattr(among_tracks, "applies", lambda rollout: False)
    slow = DrivingCost().evaluate(crowd())
    for name, term in slow[0].items():
        torch.testing.assert_close(fast[0][name], term, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(fast[1], slow[1], atol=5e-4, rtol=1e-4)


def test_gradients_in_double_precision():
    rollout = crowd(rows=6, time=2)
    futures = rollout.futures
    double = replace(futures, states=futures.states.double(), size_m=futures.size_m.double())

    def costs(states):
        moved = replace(
            rollout, states=states, futures=double, size_m=rollout.size_m.double(),
        )  # fmt: skip
        return Contact().per_future(moved), Proximity().per_future(moved)

    assert torch.autograd.gradcheck(costs, rollout.states.double().requires_grad_(), atol=1e-4)


def test_contact_is_the_penetration_of_inflated_boxes():
    """Boxes along the axes: 2 (d + d²) of the separating-axis depth; none where they are apart."""
    term = Contact(box_margin_along_m=0.0, box_margin_across_m=0.0)
    rollout = crowd(rows=200, futures=1, time=1, slots=1)
    states = rollout.futures.states.clone()
    states[..., 2] = 0.0
    ego = rollout.states.clone()
    ego[..., 2] = 0.0
    rollout = replace(rollout, states=ego, futures=replace(rollout.futures, states=states))
    boxes = torch.cat([states[:, 0, 0, :, :3], rollout.futures.size_m], -1)[:, 0]
    own = torch.cat([ego[:, 0, :3], rollout.size_m], -1)
    depth = (-clearance(own, boxes)).clamp(min=0) * rollout.futures.here[:, 0]
    torch.testing.assert_close(
        term.per_future(rollout)[:, 0, 0], 2 * (depth + depth**2), atol=1e-4, rtol=1e-4
    )
    assert (depth > 0).sum() > 5


def test_lane_is_one_on_a_line_and_nought_between_two():
    road = dense_recording().road
    rollout = crowd(rows=2, time=1)
    left, right = road.left_m[0, 1], road.right_m[0, 1]
    states = rollout.states.clone()
    states[..., 2] = 0.0
    states[:, 0, 1] = torch.tensor([left, 0.5 * (left + right)])
    rollout = replace(rollout, states=states)
    lane = Lane()(rollout)[:, 0]
    torch.testing.assert_close(lane, torch.tensor([1.0, 0.0]), atol=0.25, rtol=0)
    assert Offroad()(rollout)[1, 0] == 0


def test_nobody_costs_nothing():
    rollout = crowd()
    empty = replace(rollout.futures, here=torch.zeros_like(rollout.futures.here))
    terms, by_future = DrivingCost().evaluate(replace(rollout, futures=empty))
    assert by_future.abs().max() == 0
    assert terms["pace"].abs().max() == 0


@pytest.mark.parametrize("compiled", [True, False])
def test_the_pace_is_the_lanes_or_else_everybodys(monkeypatch, compiled):
    """By hand: 6 and 8 m/s in the ego's lane, 11 m/s beside, 30 m/s far ahead; then none in it."""
    monkeypatch.setattr(among_tracks, "applies", lambda rollout: compiled)
    rollout = crowd(rows=3, futures=1, time=1, slots=4)
    ego = torch.tensor([100.0, -8.0, 0.0, 10.0]).expand(3, 1, 4).clone()
    places = torch.tensor(
        [[20.0, 0.5, 6.0], [-15.0, -0.5, 8.0], [5.0, 3.7, 11.0], [60.0, 0.0, 30.0]]
    )
    states = rollout.futures.states.clone()
    states[:, 0, 0, :, :2] = ego[:, :, :2] + places[:, :2]
    states[..., 2], states[:, 0, 0, :, 3] = 0.0, places[:, 2]
    here = torch.tensor([[True] * 4, [False, False, True, True], [False, False, False, True]])
    futures = replace(rollout.futures, states=states, here=here)
    terms, _ = DrivingCost().evaluate(replace(rollout, states=ego, futures=futures))
    expected = torch.tensor([(10 - 7) ** 2, (10 - 11) ** 2, 0.0]) / 3.0**2
    torch.testing.assert_close(terms["pace"][:, 0], expected)
