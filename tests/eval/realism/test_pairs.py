"""Pairs cut from recordings with known gaps and speeds."""

import numpy as np
import pytest

from eval.realism.pairs import pairs_of
from eval.realism.road_coordinates import RoadCoordinates
from ppuu.recordings.road import Road
from tests.trajectories import LENGTH_M, moved, recording_of, reordered

DT_S = 0.1
ROAD = Road.straight(1200.0, 3, 3.5)
TIME_S = DT_S * np.arange(750)  # three periods of the swing
SWING_M, SWING_RADPS = 12.0, 2 * np.pi / 25.0


def path(x_m, lane=1):
    return np.stack([x_m, np.full(len(x_m), 3.5 * (2.5 - lane))], axis=1)


def wave(ahead_m=0.0, growth=1.0, delay_s=0.0):
    """Position of a vehicle whose speed swings about 8 m/s."""
    return (
        20.0 + ahead_m + 8.0 * TIME_S + growth * SWING_M * np.sin(SWING_RADPS * (TIME_S - delay_s))
    )


def cut(*recordings):
    return pairs_of([(recording, RoadCoordinates.of(recording)) for recording in recordings])


@pytest.fixture(scope="module")
def platoon():
    """Three vehicles; disturbances grow by 1.2 from each to the next behind."""
    paths = [wave(60.0, 1.0), wave(30.0, 1.2, 1.5), wave(0.0, 1.44, 3.0)]
    return recording_of([path(x) for x in paths], ROAD)


def test_features_are_those_of_the_trajectories(platoon):
    pairs = cut(platoon)
    assert pairs.count == 2
    middle = pairs.follower == 1
    inner = slice(50, -50)  # ends of tracks are filtered against their mirror image
    gap = wave(60.0) - wave(30.0, 1.2, 1.5) - LENGTH_M
    phase = SWING_RADPS * (TIME_S - 1.5)
    speed = 8.0 + 1.2 * SWING_M * SWING_RADPS * np.cos(phase)
    acceleration = -1.2 * SWING_M * SWING_RADPS**2 * np.sin(phase)
    leader_speed = 8.0 + SWING_M * SWING_RADPS * np.cos(SWING_RADPS * TIME_S)
    for name, expected in {
        "gap_m": gap, "speed_mps": speed, "acceleration_mps2": acceleration,
        "leader_speed_mps": leader_speed,
    }.items():  # fmt: skip
        found = getattr(pairs, name)[middle]
        np.testing.assert_allclose(found[inner], expected[inner], atol=0.02, err_msg=name)
    headway = pairs.features()["headway_s"][middle]
    np.testing.assert_allclose(headway[inner], ((gap + LENGTH_M) / speed)[inner], atol=0.02)


def test_disturbances_grow_by_their_factor(platoon):
    assert cut(platoon).platoon_growth() == pytest.approx(1.2, abs=0.01)


def test_everybody_at_its_mean_speed_accelerates_not_and_ends_where_it_did(platoon):
    pairs = cut(platoon)
    constant = pairs.at_constant_speed()
    assert not constant.acceleration_mps2.any()
    for rows in (pairs.pair == 0, pairs.pair == 1):
        assert constant.speed_mps[rows].std() < 1e-12
        assert constant.speed_mps[rows].mean() == pytest.approx(pairs.speed_mps[rows].mean())
        assert constant.gap_m[rows][0] == pytest.approx(pairs.gap_m[rows][0])
        assert constant.gap_m[rows][-1] == pytest.approx(pairs.gap_m[rows][-1], abs=0.3)
    assert np.isnan(constant.platoon_growth())


def test_nothing_depends_on_how_the_road_lies(platoon):
    """At map coordinates, and turned."""
    one, other = cut(platoon), cut(moved(platoon, 0.15, (604_000.0, 5_792_000.0)))
    for name, values in one.features().items():
        np.testing.assert_allclose(other.features()[name], values, atol=2e-3, err_msg=name)


def test_nor_on_the_order_of_the_vehicles(platoon):
    one, other = cut(platoon), cut(reordered(platoon, (2, 0, 1)))
    for name, values in one.features().items():
        np.testing.assert_allclose(np.sort(other.features()[name]), np.sort(values), atol=1e-9)


def test_a_bend_is_measured_along_the_lane():
    """Two vehicles at 10 m/s, 30 m apart along an inner lane of a bend of 200 m."""
    angles = np.linspace(0.0, 4.0, 161)
    edges = [(r * np.sin(angles), 400.0 - r * np.cos(angles)) for r in (196.5, 200.0, 203.5)]
    lines = [np.stack(edge, axis=1) for edge in edges]
    road = Road.from_lanes([(lines[0], lines[1]), (lines[1], lines[2])])
    radius = 198.25
    along = [start + 10.0 * DT_S * np.arange(600) for start in (5.0, 35.0)]
    paths = [
        np.stack([radius * np.sin(s / radius), 400.0 - radius * np.cos(s / radius)], axis=1)
        for s in along
    ]
    pairs = cut(recording_of(paths, road))
    assert pairs.count == 1
    np.testing.assert_allclose(pairs.gap_m, 30.0 - LENGTH_M, atol=0.02)
    np.testing.assert_allclose(pairs.speed_mps, 10.0, atol=0.01)
    np.testing.assert_allclose(pairs.acceleration_mps2, 0.0, atol=0.02)


def test_what_the_real_pairs_lack_is_left_out():
    close, far, short = wave(30.0), wave(130.0), wave(30.0)[:250]
    overlap = wave(3.0 + LENGTH_M) - np.where(np.abs(TIME_S - 35.0) < 5.0, 5.0, 0.0)
    for leader, expected in ((close, 1), (far, 0), (short, 0), (overlap, 0)):
        recording = recording_of([path(wave()), path(leader)], ROAD)
        pairs = cut(recording)
        assert (0 if pairs is None else pairs.count) == expected


def test_the_car_pool_lane_is_left_out_where_it_is_named():
    paths = [path(wave(), 0), path(wave(30.0), 0), path(wave(), 1), path(wave(30.0), 1)]
    assert cut(recording_of(paths, ROAD)).count == 2
    assert cut(recording_of(paths, ROAD, carpool_lane=None)).count == 2
    pairs = cut(recording_of(paths, ROAD, carpool_lane=0))
    assert pairs.follower[0] == 2 and pairs.count == 1


def test_recordings_are_pooled_without_being_mixed(platoon):
    one, two = cut(platoon), cut(platoon, platoon)
    assert two.count == 2 * one.count
    assert len(np.unique(two.follower)) == 2 * len(np.unique(one.follower))
    for name, values in one.features().items():
        np.testing.assert_array_equal(two.features()[name], np.tile(values, 2))
