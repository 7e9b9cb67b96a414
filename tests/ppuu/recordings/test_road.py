"""Roads: which lane a point lies on, against shapely."""

import numpy as np
import pytest
import shapely

from ppuu.recordings.road import Road, inside_polygon
from ppuu.runtime.errors import InputError


def curved(radius_m=80.0, lanes=3, width_m=3.5, points=40) -> Road:
    """An arc to the left, lane 0 innermost."""
    angle = np.linspace(0.0, 1.5, points)

    def arc(radius):
        return np.stack([radius * np.sin(angle), radius_m - radius * np.cos(angle)], 1)

    return Road.from_lanes(
        [(arc(radius_m + width_m * k), arc(radius_m + width_m * (k + 1))) for k in range(lanes)]
    )


def ramp() -> Road:
    """Two lanes of unequal stations, one of them narrowing to nothing."""
    main = (np.array([[0, 3.5], [40, 3.5], [100, 5.0]]), np.array([[0, 0], [45, 0], [100, 1.5]]))
    taper = (np.array([[10.0, 0.0], [60.0, 0.0]]), np.array([[0.0, -6.0], [60.0, 0.0]]))
    return Road.from_lanes([main, taper])


def lane_polygon(road, lane):
    left, right = road.lane(lane)
    return shapely.union_all(
        [
            shapely.Polygon([left[k], left[k + 1], right[k + 1], right[k]])
            for k in range(len(left) - 1)
        ]
    )


@pytest.mark.parametrize(
    "road", [Road.straight(120.0, 4, 3.7), curved(), ramp()], ids=["straight", "curved", "ramp"]
)
def test_lane_index_agrees_with_shapely(road):
    random = np.random.default_rng(0)
    corners = np.concatenate([road.left_m, road.right_m])
    points = random.uniform(corners.min(0) - 5.0, corners.max(0) + 5.0, (4000, 2))
    polygons = [lane_polygon(road, lane) for lane in range(road.lanes)]
    where = shapely.points(points)
    clear = np.ones(len(points), bool)
    for polygon in polygons:
        clear &= shapely.distance(shapely.boundary(polygon), where) > 1e-6
    expected = np.full(len(points), -1)
    for lane, polygon in reversed(list(enumerate(polygons))):
        expected[shapely.contains(polygon, where)] = lane
    found = road.lane_index(points)
    np.testing.assert_array_equal(found[clear], expected[clear])
    assert set(expected) == {-1, *range(road.lanes)}
    np.testing.assert_array_equal(road.drivable(points), found >= 0)


def test_straight_lanes_are_numbered_from_the_left():
    road = Road.straight(100.0, 3, 4.0, start_m=-50.0)
    points = np.array([[0.0, 10.0], [0.0, 6.0], [0.0, 2.0], [0.0, -0.1], [60.0, 2.0]])
    assert road.lane_index(points).tolist() == [0, 1, 2, -1, -1]


def test_inside_polygon_agrees_with_shapely():
    random = np.random.default_rng(1)
    for _ in range(20):
        # Star-shaped polygons are simple but not convex.
        angle = np.sort(random.uniform(0, 2 * np.pi, 7))
        radius = random.uniform(0.3, 1.0, 7)
        corners = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        points = random.uniform(-1, 1, (200, 2))
        expected = shapely.contains_xy(shapely.Polygon(corners), points)
        np.testing.assert_array_equal(inside_polygon(points, corners), expected)


def test_no_lanes_no_drivable_area():
    road = Road.from_lanes([])
    assert road.lanes == 0
    assert road.lane_index(np.zeros((3, 2))).tolist() == [-1, -1, -1]


@pytest.mark.parametrize(
    "lane",
    [
        (np.zeros((3, 2)), np.zeros((2, 2))),
        (np.zeros((1, 2)), np.zeros((1, 2))),
        (np.array([[0, 1], [np.nan, 1]]), np.zeros((2, 2))),
    ],
)
def test_bad_lanes_are_refused(lane):
    with pytest.raises(InputError, match=r"^road: [^\n]*$"):
        Road.from_lanes([lane])
