"""The lane field against the exact road, on straight and curved lanes."""

import numpy as np
import pytest
import torch

from ppuu.recordings.lanes import LaneField
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

RADIUS_M, WIDTH_M = 200.0, 3.6


def arc(first_deg=-90.0, last_deg=-30.0, lanes=3) -> Road:
    """A left-hand bend around the origin; lane 0 is the innermost."""
    angle = np.radians(np.linspace(first_deg, last_deg, 61))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    edges = RADIUS_M + WIDTH_M * np.arange(lanes + 1)
    return Road.from_lanes(
        [(a * circle, b * circle) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    )


def merge() -> Road:
    """Two lanes, and a ramp on their right that tapers off at x = 120 m."""
    main = Road.straight(300.0, 2, 4.0)
    stations = np.array([0.0, 100.0, 120.0])
    left, right = (np.stack([stations, y], axis=1) for y in (np.zeros(3), np.array([-4, -4, 0.0])))
    return Road.from_lanes([main.lane(0), main.lane(1), (left, right)])


def look_up(field, points, road=0):
    x, y = torch.as_tensor(points, dtype=torch.float32).T
    return field.look_up(x[None], y[None], torch.tensor([road]))


@pytest.mark.parametrize("road", [Road.straight(300.0, 4, 3.7), arc(), merge()])
def test_lanes_are_those_of_the_road(road):
    random = np.random.default_rng(0)
    corners = np.concatenate([road.left_m, road.right_m])
    points = random.uniform(corners.min(0) - 3, corners.max(0) + 3, (4000, 2))
    near = np.stack([road.lane_index(points + d) for d in 0.36 * _compass()])
    clear = (near == near[0]).all(0)
    assert clear.sum() > 500
    found = look_up(LaneField.build([road]), points)
    assert np.array_equal(found.lane[0].numpy()[clear], near[0][clear])


def _compass():
    angle = np.linspace(0, 2 * np.pi, 9)[:, None, None]
    return np.concatenate([np.zeros((1, 1, 2)), np.concatenate([np.cos(angle), np.sin(angle)], 2)])


def test_offset_direction_and_way_in_a_bend():
    road = arc()
    angle = np.radians(np.random.default_rng(1).uniform(-85, -35, 500))
    radius = RADIUS_M + np.random.default_rng(2).uniform(0.3, 3 * WIDTH_M - 0.3, 500)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    found = look_up(LaneField.build([road]), points)
    lane = ((radius - RADIUS_M) / WIDTH_M).astype(int)
    clear = np.abs(radius - RADIUS_M - WIDTH_M * np.round((radius - RADIUS_M) / WIDTH_M)) > 0.4
    centre = RADIUS_M + WIDTH_M * (lane + 0.5)
    assert np.array_equal(found.lane[0].numpy()[clear], lane[clear])
    assert np.allclose(found.offset_m[0].numpy()[clear], (centre - radius)[clear], atol=0.05)
    assert np.allclose(found.direction_rad[0], angle + np.pi / 2, atol=5e-3)
    assert np.allclose(found.curvature_radpm[0].numpy()[clear], (1 / centre)[clear], rtol=0.05)
    assert np.allclose(found.width_m[0], WIDTH_M, atol=0.02)
    ends = (np.radians(-30) - angle) * centre
    assert np.allclose(found.to_end_m[0].numpy()[clear], ends[clear], atol=0.6)
    order = np.argsort(angle)
    assert (np.diff(found.station_m[0].numpy()[order]) > -0.1).all()


def test_beside():
    field = LaneField.build([arc()])
    point = (RADIUS_M + 1.5 * WIDTH_M) * np.array([np.cos(-1.0), np.sin(-1.0)])
    x, y = (torch.tensor([[v]], dtype=torch.float32) for v in point)
    road = torch.tensor([0])
    here = field.look_up(x, y, road)
    for side, lane in ((1, 0), (-1, 2)):
        there = field.beside(x, y, road, here, torch.tensor([[side]]))
        assert there.lane.item() == lane
        assert there.offset_m.item() == pytest.approx(0.0, abs=0.1)


def test_a_lane_that_closes_and_lanes_that_lead_off_the_map():
    found = look_up(LaneField.build([merge()]), [[50.0, -2.0], [50.0, 2.0], [110.0, -0.5]])
    assert found.lane[0].tolist() == [2, 1, 2]
    assert found.closes[0].tolist() == [True, False, True]
    assert found.to_end_m[0].numpy() == pytest.approx([50.0, 250.0, -10.0], abs=8.0)


def test_roads_side_by_side_and_off_the_road():
    roads = [Road.straight(100.0, 2, 4.0), arc(), Road.straight(100.0, 2, 4.0)]
    field = LaneField.build(roads)
    assert field.start[0] == field.start[2] != field.start[1]
    points = [[50.0, 6.0], [50.0, 10.0], [500.0, 500.0]]
    for road in (0, 2):
        found = look_up(field, points, road)
        assert found.lane[0].tolist() == [0, -1, -1]
        assert found.offset_m[0, 1].item() == pytest.approx(4.0, abs=1e-4)


def test_a_road_without_lanes_is_refused():
    with pytest.raises(InputError, match="no lanes"):
        LaneField.build([Road.from_lanes([])])
