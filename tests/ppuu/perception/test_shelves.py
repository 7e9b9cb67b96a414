"""Rectangles on shelves, and the road map's memory."""

import numpy as np
import pytest

from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.perception.road_nodes import NODES_PER_PIXEL, road_nodes
from ppuu.perception.shelves import pack
from ppuu.recordings.road import Road
from ppuu.units import LINE_WIDTH_M


@pytest.mark.parametrize("count", [1, 2, 11, 60])
def test_rectangles_lie_inside_and_apart(count):
    random = np.random.default_rng(count)
    sizes = np.stack([random.integers(1, 30, count), random.integers(1, 90, count)], axis=1)
    first, shape = pack(sizes)
    owner = np.zeros(shape, int)
    for (y, x), (wide, long) in zip(first, sizes, strict=True):
        owner[y : y + wide, x : x + long] += 1
    assert owner.max() == 1
    assert owner.sum() == sizes.prod(axis=1).sum()


def test_many_rectangles_leave_little_room_unused():
    random = np.random.default_rng(0)
    sizes = np.stack([random.integers(60, 200, 100), random.integers(1000, 6000, 100)], axis=1)
    _, shape = pack(sizes)
    assert shape.prod() < 1.1 * sizes.prod(axis=1).sum()


def test_short_roads_do_not_take_the_room_of_a_long_one():
    """One road of 3 km and ten of 200 to 290 m: the sum of their areas, and a third of it."""
    roads = [Road.straight(3000.0, 3, 3.7)]
    roads += [Road.straight(200.0 + 10 * k, 2 + k % 4, 3.5) for k in range(10)]
    config = RasterConfig()
    spacing = config.metres_per_pixel / NODES_PER_PIXEL
    shapes = np.array([road_nodes(road, spacing, LINE_WIDTH_M)[0].shape[:2] for road in roads])
    atlas = RoadMap.build(roads, config).atlas
    channels, bytes_of_a_number = 2, 4
    area = shapes.prod(axis=1).sum()
    assert atlas.nbytes <= 1.34 * area * channels * bytes_of_a_number
    assert atlas[0].numel() * 4 < shapes[:, 0].max() * shapes[:, 1].sum()
