"""Tasks listed from recordings: lanes, sides and lines, on roads that one can reckon."""

from dataclasses import replace

import numpy as np
import pytest

from envs.tasks.goal_lines import GoalLines, node_count
from envs.tasks.lanes import Lanes
from envs.tasks.registry import TARGET_LANES
from envs.tasks.situation import Situation
from ppuu.perception.goal import NODE_SPACING_M
from ppuu.recordings.lanes import NO_LANE
from ppuu.recordings.road import Road
from ppuu.units import LANE_WIDTH_M
from tests.helpers import Car, straight_recording

DISTANCE_M = 215.0


def strip(left, right, xs):
    return tuple(np.stack([xs, np.broadcast_to(y, np.shape(xs))], axis=1) for y in (left, right))


def three_lanes_and_a_ramp(ramp_end_m=250.0) -> Road:
    """Lanes 0 to 2 from the left, and lane 3 that tapers off to the right of them."""
    xs = np.array([-60.0, 560.0])
    lanes = [strip(4.0 * (3 - k), 4.0 * (2 - k), xs) for k in range(3)]
    ramp = np.array([-60.0, ramp_end_m, ramp_end_m + 40.0])
    return Road.from_lanes([*lanes, strip(0.0, np.array([-4.0, -4.0, 0.0]), ramp)])


def situation(road, starts, ends=None, cars=2):
    recording = straight_recording([Car(0.0, 0, 10.0)] * cars, 20, lanes=1)
    starts = np.array(starts, float)
    ends = starts + np.array([DISTANCE_M, 0.0]) if ends is None else np.array(ends, float)
    vehicle = np.arange(len(starts)) % cars
    return Situation(recording, Lanes(road), vehicle, starts, ends, DISTANCE_M)


def test_neighbours_and_what_is_left_of_them():
    lanes = Lanes(three_lanes_and_a_ramp())
    points = np.array([[10.0, 10.0], [10.0, 6.5], [10.0, 2.0], [10.0, -2.0], [10.0, 50.0]])
    lane = lanes.at(points)
    assert lane.tolist() == [0, 1, 2, 3, NO_LANE]
    assert lanes.beside(points, lane, 1).tolist() == [NO_LANE, 0, 1, 2, NO_LANE]
    assert lanes.beside(points, lane, -2).tolist() == [2, 3, NO_LANE, NO_LANE, NO_LANE]
    ahead = lanes.ahead_m(points, lane)
    np.testing.assert_allclose(ahead[:3], 550.0, atol=NODE_SPACING_M)
    np.testing.assert_allclose(ahead[3], 240.0 + 15.0, atol=NODE_SPACING_M)
    assert ahead[4] == 0.0


def test_changes_go_where_the_human_went_or_the_road_offers_a_lane():
    road = three_lanes_and_a_ramp()
    starts = [[10, 10], [10, 6], [10, 6], [10, 2], [10, -2]]
    one = TARGET_LANES["change-1"](situation(road, starts))
    even, odd = 0, 2
    assert one.tolist() == [1, odd if _is_odd(1) else even, odd if _is_odd(0) else even, 1, 2]
    to_the_right = [[230, 6], [230, 2], [230, 10], [230, 2], [230, 2]]
    one = TARGET_LANES["change-1"](situation(road, starts, to_the_right))
    assert one.tolist() == [1, 2, 0, 1, 2]
    two = TARGET_LANES["change-2"](situation(road, starts))
    assert two.tolist() == [2, NO_LANE, NO_LANE, 0, 1]


def _is_odd(car: int) -> bool:
    recording = straight_recording([Car(0.0, 0, 10.0)] * 2, 20, lanes=1)
    return bool(recording.vehicle_id[car] % 2)


def test_merging_is_for_those_whose_lane_ends():
    road = three_lanes_and_a_ramp()
    starts = [[10, 2], [10, -2], [-50, -2]]
    assert TARGET_LANES["merge"](situation(road, starts)).tolist() == [NO_LANE, 2, NO_LANE]
    short = [[400, 2], [400, 6]]
    assert TARGET_LANES["merge"](situation(road, short)).tolist() == [NO_LANE, NO_LANE]


@pytest.mark.parametrize(("leaving", "found"), [(1, False), (6, True)])
def test_exits_are_told_by_what_vehicles_did(leaving, found):
    """A lane is an exit if many of the vehicles that end on it came from elsewhere."""
    cars = [Car(40.0 * k, 2 - (k < leaving), 10.0) for k in range(leaving + 8)]
    recording = straight_recording(cars, 20, lanes=3)
    late = (recording.row_vehicle < leaving) & (recording.frame >= 10)
    recording = replace(recording, y_m=recording.y_m - LANE_WIDTH_M * late)
    starts = np.array([[10.0, 6.0], [10.0, 10.0], [10.0, 2.0]])
    here = Situation(
        recording, Lanes(recording.road), np.zeros(3, int), starts,
        starts + np.array([DISTANCE_M, 0.0]), DISTANCE_M,
    )  # fmt: skip
    target = TARGET_LANES["exit"](here).tolist()
    assert target == ([2, 2, NO_LANE] if found else [NO_LANE] * 3)


def test_lines_follow_the_target_lane_and_go_on_straight():
    road = three_lanes_and_a_ramp()
    here = situation(road, [[10.0, 10.0], [450.0, 6.0]])
    lines = GoalLines.of(here, np.array([1, 2]))
    assert lines.line_m.shape == (2, node_count(DISTANCE_M), 2)
    np.testing.assert_allclose(lines.line_m[..., 1], [[6.0], [2.0]] * np.ones(node_count(215.0)))
    spacing = np.diff(lines.line_m[..., 0], axis=1)
    np.testing.assert_allclose(spacing, NODE_SPACING_M)
    end = lines.line_m[:, 0, 0] + lines.end_m
    np.testing.assert_allclose(end, [225.0, 665.0])
