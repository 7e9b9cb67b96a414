"""Metrics of constructed drives whose values are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from envs.traffic.base import Neighbours
from eval.driving.episode_row import episode_rows
from eval.driving.evaluation import drive
from eval.driving.scenario_set import ScenarioSet
from eval.driving.summary import summary
from eval.metrics.comfort import BOUNDS, Motion, comfort
from eval.metrics.derivatives import derivative, window_frames
from eval.metrics.drives import Drives
from eval.metrics.encroachment import LONGEST_S, Encroachment
from eval.metrics.headway import gap_to_leader, headway
from eval.metrics.lanes import Lanes, lane_keeping
from eval.metrics.progress import progress
from eval.metrics.safety import safety
from ppuu.policies import NoAction, RecordedHuman
from ppuu.recordings.road import Road
from tests.helpers import DT_S, LANE_WIDTH_M, Car, straight_recording


def drives(*episodes, **logged) -> Drives:
    """A log of ``(x, y, heading, speed)`` a row; what else is logged is a list an episode."""
    counts = [len(episode) for episode in episodes]
    rows = np.concatenate([np.asarray(episode, np.float32) for episode in episodes])
    n = len(episodes)
    columns = {
        name: np.concatenate(logged[name]).astype(np.float32)
        if name in logged
        else np.full(len(rows), default, np.float32)
        for name, default in (
            ("acceleration_mps2", 0.0), ("clearance_m", np.inf), ("time_to_collision_s", np.inf),
            ("gap_m", np.inf), ("lane_offset_m", 0.0),
        )
    }  # fmt: skip
    ends = {
        name: np.asarray(logged.get(name, np.full(n, default)))
        for name, default in (
            ("outcome", 1), ("collision_kind", 0), ("at_fault", False), ("distance_m", 100.0),
            ("human_distance_m", 100.0), ("post_encroachment_s", np.inf),
        )
    }  # fmt: skip
    names = ("x_m", "y_m", "heading_rad", "speed_mps")
    return Drives(
        pointer=np.cumsum([0, *counts]), **dict(zip(names, rows.T, strict=True)), **columns,
        **ends, dt_s=DT_S,
    )  # fmt: skip


def moving(speed_mps, heading_rad=0.0, frames=40, y_m=2.0):
    """Rows of a drive, given speed and heading as numbers or functions of time."""
    t = DT_S * np.arange(frames)
    speed = speed_mps(t) if callable(speed_mps) else np.full(frames, speed_mps)
    heading = heading_rad(t) if callable(heading_rad) else np.full(frames, heading_rad)
    return np.stack([np.cumsum(speed) * DT_S, np.full(frames, y_m), heading, speed], axis=1)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_derivatives_are_scipy_s(order):
    signal = pytest.importorskip("scipy.signal")
    random = np.random.default_rng(0)
    parts = [random.normal(size=n).cumsum() for n in (40, 15, 14, 90)]
    pointer = np.cumsum([0, 40, 15, 14, 90])
    found = np.split(derivative(np.concatenate(parts), pointer, DT_S, order), pointer[1:-1])
    window = window_frames(DT_S)
    assert window == 15
    for own, part in zip(found, parts, strict=True):
        if len(part) < window:
            assert np.isnan(own).all()
        else:
            expected = signal.savgol_filter(part, window, 2, deriv=order, delta=DT_S)
            np.testing.assert_allclose(own, expected, atol=1e-9)


def test_a_parabola_s_derivatives_are_exact():
    t = DT_S * np.arange(30)
    values, pointer = 1e4 + 3 * t - 2 * t**2, np.array([0, 30])
    np.testing.assert_allclose(derivative(values, pointer, DT_S, 0), values, rtol=1e-12)
    np.testing.assert_allclose(derivative(values, pointer, DT_S, 1), 3 - 4 * t, atol=1e-8)
    np.testing.assert_allclose(derivative(values, pointer, DT_S, 2), -4, atol=1e-8)


def test_comfort_of_a_steady_bend_and_of_braking():
    bend = moving(20.0, lambda t: 3.1 + 0.1 * t)  # crosses from pi to -pi
    bend[:, 2] = (bend[:, 2] + np.pi) % (2 * np.pi) - np.pi
    braking = moving(lambda t: 30.0 - 5.0 * t)
    found = comfort(drives(bend, braking))
    expected = {
        "smallest_acceleration_mps2": (0.0, -5.0),
        "largest_acceleration_mps2": (0.0, -5.0),
        "largest_lateral_acceleration_mps2": (2.0, 0.0),
        "largest_longitudinal_jerk_mps3": (0.0, 0.0),
        "largest_jerk_mps3": (0.2, 0.0),  # the acceleration of 2 m/s2 turns by 0.1 rad/s
        "largest_yaw_rate_radps": (0.1, 0.0),
        "largest_yaw_acceleration_radps2": (0.0, 0.0),
        "rms_acceleration_mps2": (2.0, 5.0),
        "rms_jerk_mps3": (0.2, 0.0),
        "rms_curvature_rate_radpmps": (0.0, 0.0),
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=2e-4, err_msg=name)
    assert BOUNDS["acceleration"].kept(2.4) and not BOUNDS["acceleration"].kept(2.41)
    assert BOUNDS["braking"].kept(-4.05) and not BOUNDS["braking"].kept(-4.06)


def test_jerk_and_the_rate_of_curvature():
    motion = Motion(drives(moving(lambda t: 10.0 + 1.5 * t**2), moving(20.0, lambda t: 0.2 * t**2)))
    jerk, rate = np.split(motion.longitudinal_jerk_mps3, 2), motion.curvature_rate_radpmps
    np.testing.assert_allclose(jerk[0], 3.0, atol=2e-4)
    # Heading 0.2 t²: yaw acceleration 0.4, curvature 0.4 t / 20.
    np.testing.assert_allclose(motion.yaw_acceleration_radps2[40:], 0.4, atol=2e-4)
    np.testing.assert_allclose(rate[40:], 0.02, atol=2e-5)


def test_too_short_or_too_slow():
    found = comfort(drives(moving(20.0, frames=5), moving(0.5)))
    assert np.isnan(found["rms_acceleration_mps2"][0])
    assert np.isnan(found["largest_jerk_mps3"][0])
    assert np.isnan(found["rms_curvature_rate_radpmps"]).all()
    assert found["rms_acceleration_mps2"][1] == pytest.approx(0.0, abs=1e-6)


def test_time_to_collision_counts_from_the_first_action_on():
    log = drives(
        moving(10.0, frames=5), moving(10.0, frames=3),
        time_to_collision_s=[[0.1, 3.0, 1.2, 0.9, 5.0], [np.inf] * 3],
        clearance_m=[[0.1, 3.0, 2.0, 2.5, 9.0], [np.inf] * 3],
    )  # fmt: skip
    found = safety(log)
    np.testing.assert_allclose(found["smallest_ttc_s"], [0.9, np.inf], rtol=1e-6)
    assert found["ttc_below_0_95_s"].tolist() == [0.25, 0.0]
    assert found["ttc_below_1_5_s"].tolist() == [0.5, 0.0]
    np.testing.assert_allclose(found["smallest_clearance_m"], [2.0, np.inf])


def test_headway_behind_a_leader():
    log = drives(
        moving(10.0, frames=5), moving(0.5, frames=3),
        gap_m=[[1.0, 20.0, np.inf, 8.0, 12.0], [3.0] * 3],
    )  # fmt: skip
    found = headway(log)
    np.testing.assert_allclose(found["smallest_headway_s"], [0.8, np.inf])
    np.testing.assert_allclose(found["median_headway_s"], [1.2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["headway_below_1_s"], [1 / 3, np.nan])


def test_progress():
    log = drives(
        *[moving(10.0, frames=3)] * 3,
        distance_m=[50.0, 120.0, 3.0],
        human_distance_m=[100.0, 100.0, 0.5],
    )
    found = progress(log, np.array([200.0, 100.0, 200.0]))
    np.testing.assert_allclose(found["progress"], [0.5, 1.2, np.nan])
    np.testing.assert_allclose(found["completion"], [0.25, 1.0, 0.015])


def test_lane_keeping():
    road = Road.straight(200.0, 2, LANE_WIDTH_M)
    crossing = moving(10.0, frames=41)
    crossing[:, 1] = np.linspace(2.0, 6.0, 41)  # from the middle of the right lane to the left one
    astray = moving(10.0, frames=5, y_m=9.0)
    offset = [np.where(crossing[:, 1] < 4, crossing[:, 1] - 2, crossing[:, 1] - 6), [np.nan] * 5]
    log = drives(crossing, astray, lane_offset_m=offset)
    found = lane_keeping(log, np.zeros(2, int), [road])
    assert found["in_lane"].tolist() == [1.0, 0.0]
    assert found["lane_offset_m"][0] == pytest.approx(1.0, abs=0.03)
    assert math.isnan(found["lane_offset_m"][1])
    assert found["lane_changes"].tolist() == [1, 0]


def at(*boxes, ego=-1) -> Neighbours:
    """Others at ``(x, y, heading)``, 4 m by 2 m, in one environment."""
    table = torch.tensor([[[*pose, 4.0, 2.0] for pose in boxes]])
    numbers = torch.arange(len(boxes))[None]
    row = torch.zeros(1, dtype=torch.int64)
    return Neighbours(table, torch.zeros(1, len(boxes)), numbers, row, torch.tensor([ego]))


def box(x, y, heading=0.0):
    return torch.tensor([[x, y, heading, 4.0, 2.0]])


def encroachment_s(ego, other) -> float:
    """Of two paths, functions of the frame that give a pose."""
    one = Encroachment(1, DT_S)
    one.begin(torch.tensor([0]), box(*ego(0)), at(other(0)))
    for frame in range(1, 100):
        one.add(box(*ego(frame)), at(other(frame)))
    return float(one.smallest_s[0])


@pytest.mark.parametrize("ego_first", [True, False])
def test_post_encroachment_of_crossing_paths(ego_first):
    """At 10 m/s: one clears the crossing's 2 m by 2 m at 2.3 s, the other enters it at 3.0 s."""

    def along(frame):  # its rear leaves x = 1 at 2.3 s
        return (-20.0 + frame, 0.0, 0.0)

    def across(frame):  # its front reaches y = -1 at 3.0 s
        return (0.0, -33.0 + frame, math.pi / 2)

    paths = (along, across) if ego_first else (across, along)
    assert encroachment_s(*paths) == pytest.approx(0.7, abs=DT_S + 1e-9)


def test_post_encroachment_in_a_lane_is_the_net_time_gap():
    """12 m behind one another, bumper to bumper, at 10 m/s."""
    found = encroachment_s(lambda k: (float(k), 0.0, 0.0), lambda k: (16.0 + k, 0.0, 0.0))
    assert found == pytest.approx(1.2, abs=DT_S + 1e-9)
    assert encroachment_s(lambda k: (float(k), 0.0, 0.0), lambda k: (1.0 * k, 3.0, 0.0)) == np.inf
    far = 10.0 * (LONGEST_S + 1.0)
    assert encroachment_s(lambda k: (float(k), 0.0, 0.0), lambda k: (far + k, 0.0, 0.0)) == np.inf


def test_post_encroachment_of_a_collision_is_none_and_episodes_do_not_mix():
    one = Encroachment(1, DT_S)
    slot = torch.tensor([0])
    one.begin(slot, box(0.0, 0.0), at((0.0, 20.0, 0.0)))
    one.add(box(0.0, 20.0), at((0.0, 21.0, 0.0)))
    assert one.smallest_s[0] == 0.0
    one.begin(slot, box(0.0, 20.0), at((0.0, 60.0, 0.0)))
    one.add(box(0.0, 0.0), at((0.0, 80.0, 0.0)))
    assert one.smallest_s[0] == np.inf  # a vehicle was at (0, 20), but in the episode before


def test_the_leader_is_in_the_ego_s_lane_ahead():
    lanes, road = Lanes([Road.straight(400.0, 2, LANE_WIDTH_M)]), torch.tensor([0])
    others = at((30.0, 2.5, 0.0), (20.0, 6.0, 0.0), (-10.0, 2.0, 0.0), (60.0, 2.0, 0.0))
    gap, offset = gap_to_leader(box(10.0, 1.5), others, lanes, road)
    assert gap.item() == pytest.approx(math.hypot(20.0, 1.0) - 4.0)
    assert offset.item() == pytest.approx(-0.5, abs=1e-4)
    alone, _ = gap_to_leader(box(10.0, 1.5), at((120.0, 2.0, 0.0)), lanes, road)
    assert alone.item() == math.inf
    astray, offset = gap_to_leader(box(10.0, 12.0), at((20.0, 12.0, 0.0)), lanes, road)
    assert astray.item() == math.inf and math.isnan(offset.item())


def test_pieces_of_a_lane_are_one_lane():
    first, second = Road.straight(50.0, 2, LANE_WIDTH_M), Road.straight(50.0, 2, LANE_WIDTH_M, 50.0)
    cut = Road.from_lanes([road.lane(k) for road in (first, second) for k in range(2)])
    lanes = Lanes([cut])
    gap, _ = gap_to_leader(box(40.0, 2.0), at((60.0, 2.0, 0.0)), lanes, torch.tensor([0]))
    assert gap.item() == pytest.approx(16.0)
    through = moving(10.0, frames=60)
    through[:, 0] += 20.0
    assert lane_keeping(drives(through), np.zeros(1, int), [cut])["lane_changes"].tolist() == [0]


@pytest.fixture(scope="module")
def scenario_set(tmp_path_factory):
    """One car 20 m behind another, both at 10 m/s, and one alone that changes lanes."""
    cars = [Car(0.0), Car(24.5), Car(0.0, lane=1, to_lane=2, change_frame=40)]
    path = tmp_path_factory.mktemp("recordings") / "three.h5"
    straight_recording(cars, frames=100).save(path)
    return ScenarioSet.load([path], "all")


def test_the_whole_log_of_a_drive(scenario_set):
    log = drive(RecordedHuman(), "human", scenario_set, slots=2)
    follower, leader, changing = episode_rows(log, "human", "replay", scenario_set)
    assert follower.median_headway_s == pytest.approx(2.0, abs=1e-3)
    assert follower.post_encroachment_s == pytest.approx(2.0, abs=DT_S + 1e-9)
    assert follower.smallest_ttc_s == math.inf
    assert leader.median_headway_s is None and leader.smallest_headway_s == math.inf
    assert leader.post_encroachment_s == pytest.approx(2.0, abs=DT_S + 1e-9)
    assert (leader.lane_changes, changing.lane_changes) == (0, 1)
    for episode in (follower, leader, changing):
        assert episode.progress == pytest.approx(1.0, abs=0.01)
        assert episode.comfortable == dict.fromkeys(BOUNDS, True)
        assert (episode.in_lane, episode.others) == (1.0, "replay")
    row = summary("human", [follower, leader, changing])
    assert row["comfortable"].value == 1.0
    kilometres = sum(e.distance_m for e in (follower, leader, changing)) / 1000
    assert row["lane_changes_per_km"].value == pytest.approx(1 / kilometres)


class Brake(NoAction):
    """To a stop."""

    def act(self, observation, privileged_state):
        return torch.tensor([[-6.0, 0.0]]).expand(len(observation.ego), -1)


def test_being_struck_from_behind_is_no_fault(scenario_set):
    log = drive(Brake(), "brake", scenario_set)
    episodes = episode_rows(log, "brake", "replay", scenario_set)
    struck = episodes[1]
    assert (struck.outcome, struck.collision_kind, struck.at_fault) == ("collision", "rear", False)
    assert struck.post_encroachment_s == 0.0
    assert not struck.comfortable["braking"]
    assert [e.struck_from_behind for e in episodes] == [False, True, False]
    row = summary("brake", episodes)
    # To stand on the road is no success, though nothing happens.
    assert row["success"].value == 0.0 and row["stalled"].value == pytest.approx(2 / 3)
    assert (row["success_alt"].value, row["success_alt"].n) == (0.0, 2)
    assert row["success_or_struck_from_behind"].value == pytest.approx(1 / 3)
    assert row["collision_at_fault"].value == 0.0
