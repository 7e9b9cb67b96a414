"""Boxes against shapely, on random pairs."""

import math

import numpy as np
import pytest
import shapely
import torch

from ppuu.geometry import (
    box_corners,
    boxes_overlap,
    clearance,
    time_to_collision,
    to_local,
    to_world,
    wrap_angle,
)

PAIRS = 3000


def random_boxes(seed: int, reach_m: float = 6.0) -> torch.Tensor:
    """Cars and lorries at any heading, close enough together that about half of the pairs touch."""
    random = np.random.default_rng(seed)
    boxes = np.column_stack(
        [
            random.uniform(-reach_m, reach_m, (PAIRS, 2)),
            random.uniform(-2 * math.pi, 2 * math.pi, PAIRS),
            random.uniform(0.5, 16.0, PAIRS),
            random.uniform(0.5, 3.0, PAIRS),
        ]
    )
    return torch.tensor(boxes)


def polygons(boxes: torch.Tensor) -> np.ndarray:
    """Corners worked out here, not by the code under test."""
    x, y, heading, length, width = boxes.numpy().T
    shape = shapely.box(-0.5 * length, -0.5 * width, 0.5 * length, 0.5 * width)
    placed = [
        shapely.affinity.affine_transform(
            part, [math.cos(h), -math.sin(h), math.sin(h), math.cos(h), px, py]
        )
        for part, px, py, h in zip(shape, x, y, heading, strict=True)
    ]
    return np.array(placed)


@pytest.fixture(scope="module")
def pairs():
    a, b = random_boxes(1), random_boxes(2)
    return a, b, polygons(a), polygons(b)


def test_corners(pairs):
    a, _, shape, _ = pairs
    drawn = shapely.polygons(box_corners(a).numpy())
    assert shapely.hausdorff_distance(drawn, shape).max() < 1e-9


def test_overlap_is_shared_area(pairs):
    a, b, shape_a, shape_b = pairs
    area = shapely.area(shapely.intersection(shape_a, shape_b))
    clear = (area > 1e-6) | (shapely.distance(shape_a, shape_b) > 1e-6)
    assert clear.mean() > 0.99
    assert 0.3 < (area > 0).mean() < 0.9
    np.testing.assert_array_equal(boxes_overlap(a, b).numpy()[clear], (area > 0)[clear])


def test_touching_is_no_overlap():
    a = torch.tensor([[0.0, 0.0, 0.0, 4.0, 2.0]])
    b = torch.tensor([[4.0, 0.0, 0.0, 4.0, 2.0]])
    assert not boxes_overlap(a, b) and clearance(a, b) == 0


def test_clearance_is_the_distance_outside_and_the_depth_inside(pairs):
    a, b, shape_a, shape_b = pairs
    found, apart = clearance(a, b).numpy(), shapely.distance(shape_a, shape_b)
    outside = apart > 0
    np.testing.assert_allclose(found[outside], apart[outside], atol=1e-9)
    assert (found[~outside] <= 1e-9).all()
    # Moved apart along the best axis by the penetration, the boxes only just touch.
    deep = np.flatnonzero(found < -0.01)[:200]
    for k in deep:
        reach = -found[k]
        angles = [float(box[k, 2]) + turn for box in (a, b) for turn in np.arange(4) * math.pi / 2]
        shifted = [
            shapely.affinity.translate(shape_b[k], reach * math.cos(t), reach * math.sin(t))
            for t in angles
        ]
        areas = [shape_a[k].intersection(shape).area for shape in shifted]
        assert min(areas) < 1e-6


def test_symmetric(pairs):
    a, b, _, _ = pairs
    torch.testing.assert_close(clearance(a, b), clearance(b, a))
    assert torch.equal(boxes_overlap(a, b), boxes_overlap(b, a))


def test_time_to_collision_is_when_the_moving_boxes_first_touch():
    a, b = random_boxes(3, reach_m=25.0), random_boxes(4, reach_m=25.0)
    random = np.random.default_rng(5)
    velocity_a, velocity_b = (torch.tensor(random.normal(0, 10, (PAIRS, 2))) for _ in range(2))
    found = time_to_collision(a, b, velocity_a, velocity_b).numpy()
    shape_a, shape_b = polygons(a), polygons(b)
    relative = (velocity_b - velocity_a).numpy()

    def apart_at(k, time):
        moved = shapely.affinity.translate(shape_b[k], *(relative[k] * time))
        return shapely.distance(shape_a[k], moved)

    hits = np.isfinite(found)
    assert 300 < hits.sum() < PAIRS - 300
    for k in np.flatnonzero(hits):
        assert apart_at(k, found[k]) < 1e-6
        if found[k] > 1e-3:
            assert apart_at(k, found[k] - 1e-3) > 0
    # Those that never touch: the area swept by one, seen from the other, misses it.
    for k in np.flatnonzero(~hits):
        end = shapely.affinity.translate(shape_b[k], *(relative[k] * 60.0))
        swept = shapely.union(shape_b[k], end).convex_hull
        assert shape_a[k].intersection(swept).area < 1e-6


def test_time_to_collision_of_boxes_at_rest():
    still = torch.zeros(1, 2)
    a = torch.tensor([[0.0, 0.0, 0.3, 4.0, 2.0]])
    apart = torch.tensor([[9.0, 0.0, 0.0, 4.0, 2.0]])
    assert time_to_collision(a, apart, still, still) == math.inf
    assert time_to_collision(a, a, still, still) == 0


def test_local_and_back():
    random = torch.Generator().manual_seed(0)
    pose = torch.randn(100, 4, generator=random, dtype=torch.float64) * 10
    origin = torch.randn(100, 3, generator=random, dtype=torch.float64) * 10
    back = to_world(to_local(pose, origin), origin)
    torch.testing.assert_close(back[:, [0, 1, 3]], pose[:, [0, 1, 3]])
    torch.testing.assert_close(wrap_angle(back[:, 2] - pose[:, 2]), torch.zeros(100).double())


def test_local_axes_are_ahead_and_left():
    origin = torch.tensor([[10.0, 5.0, math.pi / 2]])
    pose = torch.tensor([[10.0, 8.0, math.pi]])
    torch.testing.assert_close(to_local(pose, origin), torch.tensor([[3.0, 0.0, math.pi / 2]]))


def test_wrapped_angles():
    angles = torch.tensor([0.0, math.pi, -math.pi, 3 * math.pi, 7.0], dtype=torch.float64)
    wrapped = wrap_angle(angles)
    assert (wrapped >= -math.pi).all() and (wrapped < math.pi).all()
    torch.testing.assert_close(torch.exp(1j * wrapped), torch.exp(1j * angles))
