"""PPUU's proximity cost: against its formula written as loops, and against exact boxes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.protocols.pixel_cost import COLLISION_COST, proximity_cost, proximity_mask
from ppuu.geometry import boxes_overlap

ROWS, COLUMNS = 468, 96
SCALE = 24 / 3.7
CAR = (4.5, 1.9)


def tent(pixels, k):
    return (1 - abs(-1 + 2 * k / (pixels - 1))) * pixels / 2


def mask_by_loops(length_m, width_m, speed_mps):
    """Both factors, pixel by pixel, from the published formula."""
    length, width, speed = length_m * SCALE, width_m * SCALE, speed_mps * SCALE
    safe = 1.5 * speed + SCALE
    top_x = math.ceil((ROWS - max(length - SCALE, 0)) / 2)
    top_y = math.ceil((COLUMNS - max(width - SCALE, 0)) / 2)
    low_x = max(math.ceil(top_x - safe), 0)
    low_y = math.ceil(COLUMNS / 2 - width)

    def factor(pixels, low, top):
        return [(min(max(tent(pixels, k), low), top) - low) / (top - low) for k in range(pixels)]

    return factor(ROWS, low_x, top_x), factor(COLUMNS, low_y, top_y)


def cost_by_loops(ego, speed, others):
    """The ego at the origin, heading along x; the others' boxes are not turned."""
    along, across = mask_by_loops(*ego, speed)
    largest = 0.0
    for x, y, length, width in others:
        for row in range(ROWS):
            ahead = (ROWS / 2 - 0.5 - row) / SCALE
            if abs(ahead - x) > length / 2:
                continue
            for column in range(COLUMNS):
                left = (COLUMNS / 2 - 0.5 - column) / SCALE
                if abs(left - y) <= width / 2:
                    largest = max(largest, along[row] * across[column])
    return largest


def cost(ego, speed, others, pose=(0.0, 0.0, 0.0)):
    """``others``: ``(x, y, heading, length, width)`` each."""
    boxes = torch.tensor([others], dtype=torch.float32).view(1, -1, 5)
    box = torch.tensor([[*pose, *ego]], dtype=torch.float32)
    present = torch.ones(boxes.shape[:2], dtype=torch.bool)
    return float(proximity_cost(box, torch.tensor([speed]), boxes, present)[0])


@settings(deadline=None, max_examples=40)
@given(st.floats(2.0, 24.0), st.floats(0.5, 2.9), st.floats(0.0, 45.0))
def test_the_mask_is_the_formula(length, width, speed):
    values = torch.tensor([[length], [width], [speed]])
    along, across = proximity_mask(*values)
    expected = mask_by_loops(*(float(value) for value in values))
    torch.testing.assert_close(along[0], torch.tensor(expected[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(across[0], torch.tensor(expected[1]), atol=1e-5, rtol=0)


def test_the_mask_of_a_car():
    along, across = proximity_mask(*torch.tensor([[4.5], [1.9], [10.0]]))
    assert along.shape == (1, ROWS)
    assert along.max() == across.max() == 1.0
    # One over the box less 1 m, nothing beyond the safe distance of 16 m and one car's width.
    assert int((along == 1).sum()) == pytest.approx((4.5 - 1.0) * SCALE, abs=2)
    assert int((along > 0).sum()) == pytest.approx((4.5 - 1.0 + 2 * 16.0) * SCALE, abs=3)
    assert int((across > 0).sum()) == pytest.approx(2 * 1.9 * SCALE, abs=2)


@pytest.mark.parametrize(
    ("speed", "others"),
    [
        (10.0, [(9.3, 0.4, 4.4, 1.8)]),
        (10.0, [(-8.0, 0.0, 4.4, 1.8), (14.0, -0.3, 5.0, 2.0)]),
        (3.0, [(1.0, 2.6, 4.4, 1.8)]),
        (0.0, [(4.0, 0.0, 4.4, 1.8)]),
        (20.0, [(0.0, 3.7, 4.4, 1.8)]),
        (20.0, []),
    ],
)
def test_the_cost_is_the_formula(speed, others):
    boxes = [(x, y, 0.0, length, width) for x, y, length, width in others]
    assert cost(CAR, speed, boxes) == pytest.approx(cost_by_loops(CAR, speed, others), abs=1e-4)


def test_the_cost_moves_with_the_ego():
    others = torch.tensor([[9.0, 0.5, 0.1, 4.4, 1.8]])
    here = cost(CAR, 8.0, others.tolist())
    turn, x, y = 0.7, 120.0, -15.0
    turned = others.clone()
    turned[0, 0] = x + 9.0 * math.cos(turn) - 0.5 * math.sin(turn)
    turned[0, 1] = y + 9.0 * math.sin(turn) + 0.5 * math.cos(turn)
    turned[0, 2] += turn
    assert 0.1 < here < 0.9
    assert cost(CAR, 8.0, turned.tolist(), (x, y, turn)) == pytest.approx(here, abs=0.01)


@pytest.mark.parametrize(("overlap", "collides"), [(-0.1, 0), (0.1, 0), (0.4, 0), (0.75, 1)])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_collision_is_entering_the_core(overlap, collides, side):
    """Half a metre of the ego's length at each end, and of its width at each side, is no part."""
    along = [(side * (4.5 - overlap), 0.0, 0.0, 4.5, 1.9)]
    across = [(0.0, side * (1.9 - overlap), 0.0, 4.5, 1.9)]
    for others in (along, across):
        assert (cost(CAR, 0.0, others) > COLLISION_COST) == collides


def resized(box, by_m):
    box = box.clone()
    box[:, 3:] = (box[:, 3:] + by_m).clamp(min=0.0)
    return box


def test_collisions_are_overlaps_of_the_core_with_turned_boxes():
    """Certain overlaps collide and certain gaps do not; a few pixels between are left open."""
    random = torch.Generator().manual_seed(0)
    n, pixel = 400, 1 / SCALE
    ego = torch.tensor([[0.0, 0.0, 0.0, *CAR]]).expand(n, -1)
    other = torch.rand(n, 5, generator=random)
    other[:, 0] = 12 * other[:, 0] - 6
    other[:, 1] = 6 * other[:, 1] - 3
    other[:, 2] = math.pi * (other[:, 2] - 0.5)
    other[:, 3:] = torch.tensor([4.2, 1.8])
    present = torch.ones(n, 1, dtype=torch.bool)
    collides = proximity_cost(ego, torch.zeros(n), other[:, None], present) > COLLISION_COST
    core = resized(ego, -1.0)
    must = boxes_overlap(resized(core, -3 * pixel), resized(other, -3 * pixel))
    may = boxes_overlap(resized(core, 3 * pixel), resized(other, 3 * pixel))
    assert 40 < int(must.sum()) < int(may.sum()) < n - 40
    assert bool(collides[must].all())
    assert not bool(collides[~may].any())


def test_a_narrow_ego_never_collides():
    """A consequence of the formula: a motorcycle's mask peaks below the threshold."""
    assert cost((2.2, 0.8), 0.0, [(0.0, 0.0, 0.0, 4.5, 1.9)]) < COLLISION_COST


def test_absent_cars_do_not_count():
    boxes = torch.tensor([[[0.0, 0.0, 0.0, 4.5, 1.9]]])
    ego, speed = torch.tensor([[0.0, 0.0, 0.0, *CAR]]), torch.zeros(1)
    assert proximity_cost(ego, speed, boxes, torch.zeros(1, 1, dtype=torch.bool)) == 0
    assert proximity_cost(ego, speed, boxes, torch.ones(1, 1, dtype=torch.bool)) == 1
