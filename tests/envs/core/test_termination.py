"""Contact and endings: compiled loops against tensor operations, and contact against shapely."""

import math
from dataclasses import replace

import pytest
import shapely
import torch

from envs.core.termination import CollisionKind, Outcome, contact, off_the_road, outcomes
from envs.traffic.base import Neighbours
from ppuu.backends import dispatch
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.road import Road


def scenes(envs: int, slots: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Neighbours]:
    """Egos among others that are near enough to touch about every second one."""
    random = torch.Generator().manual_seed(seed)

    def boxes(*shape):
        unit = torch.rand(*shape, 5, generator=random)
        low = torch.tensor([-25.0, -8.0, -math.pi, 2.0, 1.0])
        high = torch.tensor([25.0, 8.0, math.pi, 16.0, 2.6])
        return low + unit * (high - low)

    rows = 7
    vehicle = torch.arange(rows * slots).view(rows, slots)
    vehicle[torch.rand(rows, slots, generator=random) < 0.2] = -1
    row = torch.randint(rows, (envs,), generator=random)
    ego = vehicle[row, torch.randint(slots, (envs,), generator=random)]
    speed = 30 * torch.rand(rows, slots, generator=random)
    others = Neighbours(boxes(rows, slots), speed, vehicle, row, ego)
    return boxes(envs), 30 * torch.rand(envs, generator=random), others


@pytest.mark.parametrize("slots", [2, 12, 40])
def test_the_loop_finds_what_tensor_operations_find(slots, monkeypatch):
    ego, speed, others = scenes(3000, slots)
    loop = contact(ego, speed, others)
    monkeypatch.setattr(dispatch, "applies", lambda *tensors: False)
    whole = contact(ego, speed, others)
    # Where boxes all but touch, rounding decides.
    clear = whole.clearance_m.abs() > 1e-4
    assert clear.float().mean() > 0.99
    assert (whole.kind[clear] != CollisionKind.NONE).any()
    for name in ("kind", "at_fault", "vehicle"):
        assert torch.equal(getattr(loop, name)[clear], getattr(whole, name)[clear]), name
    torch.testing.assert_close(loop.clearance_m, whole.clearance_m, atol=1e-4, rtol=1e-4)
    grazing = loop.time_to_collision_s.isinf() != whole.time_to_collision_s.isinf()
    assert grazing.float().mean() < 2e-3
    torch.testing.assert_close(
        loop.time_to_collision_s[~grazing],
        whole.time_to_collision_s[~grazing],
        atol=1e-3,
        rtol=1e-3,
    )


def polygon(box) -> shapely.Polygon:
    x, y, heading, length, width = box.tolist()
    shape = shapely.box(-0.5 * length, -0.5 * width, 0.5 * length, 0.5 * width)
    turned = shapely.affinity.rotate(shape, heading, origin=(0, 0), use_radians=True)
    return shapely.affinity.translate(turned, x, y)


def test_contact_of_10_000_pairs_agrees_with_shapely():
    """One other vehicle each: overlap, distance and the moment of contact, exactly."""
    ego, speed, others = scenes(10_000, 1, seed=1)
    nobody = torch.full_like(others.ego, -1)
    others = replace(others, table_vehicle=others.table_vehicle.clamp(min=0), ego=nobody)
    found = contact(ego, speed, others)
    own = [polygon(box) for box in ego]
    other = [polygon(box) for box in others.table_boxes[:, 0]]
    distance = torch.tensor(
        [shapely.distance(a, other[k]) for a, k in zip(own, others.row.tolist(), strict=True)]
    )
    apart = found.clearance_m > 0
    torch.testing.assert_close(
        found.clearance_m[apart].double(), distance[apart], atol=1e-3, rtol=0
    )
    assert distance[~apart].max() < 1e-3
    velocity = speed[:, None] * torch.stack([ego[:, 2].cos(), ego[:, 2].sin()], 1)
    theirs = others.table_boxes[others.row, 0]
    their_speed = others.table_speed_mps[others.row, 0]
    relative = velocity - their_speed[:, None] * torch.stack(
        [theirs[:, 2].cos(), theirs[:, 2].sin()], 1
    )
    checked = 0
    for k in (found.time_to_collision_s.isfinite() & (found.time_to_collision_s > 0)).nonzero():
        time_s, k = float(found.time_to_collision_s[k]), int(k)
        x, y = relative[k].tolist()
        target = other[int(others.row[k])]
        before, after = (
            shapely.affinity.translate(own[k], x * t, y * t) for t in (time_s - 2e-3, time_s + 2e-3)
        )
        margin = 4e-3 * math.hypot(x, y) + 1e-3
        assert before.distance(target) > 0 or before.intersection(target).area < margin
        assert after.distance(target) < margin
        checked += 1
    assert checked > 200


def test_endings_of_the_loop_are_those_of_tensor_operations(monkeypatch):
    """Every combination of flags, on both sides of the line and of the time limit."""
    random = torch.Generator().manual_seed(0)
    envs = 4000

    def flag():
        return torch.rand(envs, generator=random) < 0.3

    state = 10 * torch.randn(envs, 4, generator=random)
    goal = torch.cat([torch.randn(envs, 2, generator=random), torch.rand(envs, 1)], dim=1)
    goal[flag()] = torch.nan
    frame = torch.randint(10, (envs,), generator=random)
    end = torch.randint(20, (envs,), generator=random)
    arguments = (state, frame, end, flag(), goal, flag(), flag())
    loop = outcomes(*arguments)
    monkeypatch.setattr(dispatch, "applies", lambda *tensors: False)
    assert torch.equal(loop, outcomes(*arguments))
    assert set(loop.tolist()) == {int(code) for code in Outcome}


def test_the_loop_finds_the_same_egos_off_the_road(monkeypatch):
    random = torch.Generator().manual_seed(0)
    roads = [Road.straight(60.0, 3, 3.5, start_m=-20.0), Road.straight(90.0, 2, 4.0)]
    road_map = RoadMap.build(roads, RasterConfig())
    unit = torch.rand(3000, 5, generator=random)
    box = torch.tensor([-30.0, -4.0, -3.1, 3.0, 1.5]) + unit * torch.tensor([140, 20, 6.2, 8, 1])
    road = torch.randint(2, (3000,), generator=random)
    loop = off_the_road(box, road, road_map)
    monkeypatch.setattr(dispatch, "applies", lambda *tensors: False)
    whole = off_the_road(box, road, road_map)
    assert 0.2 < whole.float().mean() < 0.9
    assert (loop != whole).float().mean() < 2e-3  # where a coverage is 0.5, to rounding
