"""Contact against shapely."""

import math
from dataclasses import replace

import shapely
import torch

from envs.core.termination import contact
from envs.traffic.base import Neighbours
from ppuu.backends.dispatch import only_tensors


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


def test_a_touch_is_noticed_however_many_motorcycles_are_nearer():
    """It was not (E7): a long lorry among them could overlap a car unseen."""
    random = torch.Generator().manual_seed(0)
    envs, motorcycles = 200, 40
    lorry = torch.tensor([0.0, 0.0, 0.0, 20.0, 2.5])
    place = torch.rand(envs, motorcycles, 2, generator=random)
    place = (place - 0.5) * torch.tensor([12.0, 0.4])
    place[..., 1] += torch.where(place[..., 1] > 0, 2.0, -2.0)
    bikes = torch.cat([place, torch.tensor([0.0, 2.0, 0.7]).expand(envs, motorcycles, 3)], dim=-1)
    ahead = 11.0 + 2.5 * torch.rand(envs, generator=random)
    car = torch.stack([ahead, *torch.tensor([0.0, 0.0, 4.5, 1.8])[:, None].expand(4, envs)], dim=1)
    table = torch.cat([bikes, car[:, None]], dim=1)
    vehicle = torch.arange(motorcycles + 1).expand(envs, -1).contiguous()
    others = Neighbours(
        table, torch.zeros(envs, motorcycles + 1), vehicle, torch.arange(envs),
        torch.full((envs,), -1),
    )  # fmt: skip
    egos = lorry.expand(envs, 5).contiguous()
    for found in (contact(egos, torch.zeros(envs), others), _by_tensors(egos, others)):
        truly = ahead - 2.25 < 10.0
        assert truly.any() and not truly.all()
        assert torch.equal(found.vehicle == motorcycles, truly)
        assert torch.equal(found.clearance_m < 0, truly)
        # Motorcycles stand 0.4 m and more beside the lorry; the car is nearer ahead or it is not.
        beside = (place[..., 1].abs() - 0.35 - 1.25).amin(1)
        nearest = torch.minimum(ahead - 2.25 - 10.0, beside)
        torch.testing.assert_close(found.clearance_m, nearest, atol=1e-4, rtol=0)


def _by_tensors(egos, others):
    with only_tensors():
        return contact(egos, torch.zeros(len(egos)), others)
