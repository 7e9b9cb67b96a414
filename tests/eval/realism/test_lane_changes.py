"""Lane changes of known course, and a known wander."""

import numpy as np
import pytest

from eval.realism.lane_changes import CHANGING_MPS, lane_changes, lateral_tracks
from eval.realism.road_coordinates import RoadCoordinates
from ppuu.recordings.road import Road
from tests.trajectories import moved, recording_of

DT_S, WIDTH_M = 0.1, 3.6
ROAD = Road.straight(1500.0, 3, WIDTH_M)
FRAMES = 600


def changing(duration_s, begin_s=25.0, lanes=1, start=0.5):
    """A vehicle that moves to the left along half a cosine."""
    time_s = DT_S * np.arange(FRAMES)
    share = ((time_s - begin_s) / duration_s).clip(0, 1)
    y = WIDTH_M * (start + lanes * 0.5 * (1 - np.cos(np.pi * share)))
    return np.stack([20.0 + 15.0 * time_s, y], axis=1)


def measure(recording):
    return lane_changes(lateral_tracks(recording, RoadCoordinates.of(recording)))


@pytest.mark.parametrize("duration_s", [4.0, 6.0])
def test_a_change_lasts_as_long_as_it_does(duration_s):
    changes = measure(recording_of([changing(duration_s)], ROAD))
    peak = 0.5 * np.pi * WIDTH_M / duration_s
    above = duration_s * (1 - 2 / np.pi * np.arcsin(CHANGING_MPS / peak))
    found_s, found_mps = changes.medians()
    assert found_s == pytest.approx(above, abs=0.35)  # smoothing widens it a little
    assert found_mps == pytest.approx(peak, rel=0.03)


def test_changes_are_counted_by_vehicle_hours():
    """A double change in one sweep is two; who stays adds time only."""
    paths = [changing(5.0), changing(10.0, lanes=2), changing(5.0, lanes=0)]
    hours = 3 * FRAMES * DT_S / 3600.0
    assert measure(recording_of(paths, ROAD)).per_vehicle_hour == pytest.approx(3 / hours)


def test_who_only_touches_the_next_lane_has_not_changed():
    there, back = changing(4.0), changing(4.0, begin_s=27.5)
    path = there - np.stack([np.zeros(FRAMES), back[:, 1] - back[0, 1]], axis=1)
    changes = measure(recording_of([path], ROAD))
    assert changes.per_vehicle_hour == 0.0 and np.isnan(changes.medians()).all()


def test_it_does_not_matter_how_lanes_are_numbered_or_continued():
    """Lanes from right to left, and cut in two with a number each."""
    lanes = [ROAD.lane(k) for k in range(3)]
    pieces = [
        tuple(np.array([[a, edge[0, 1]], [b, edge[0, 1]]]) for edge in lane)
        for lane in lanes[::-1]
        for a, b in ((0.0, 400.0), (400.0, 1500.0))
    ]
    one = recording_of([changing(5.0)], ROAD)
    other = recording_of([changing(5.0)], Road.from_lanes(pieces))
    assert measure(other).per_vehicle_hour == measure(one).per_vehicle_hour > 0
    assert measure(other).medians() == pytest.approx(measure(one).medians(), abs=0.11)


def test_it_does_not_matter_how_the_road_lies():
    one = measure(recording_of([changing(5.0)], ROAD))
    turned = moved(recording_of([changing(5.0)], ROAD), 1.1, (604_000.0, 5_792_000.0))
    other = measure(turned)
    assert other.per_vehicle_hour == one.per_vehicle_hour
    assert other.medians() == pytest.approx(one.medians(), abs=0.01)


def test_wander_is_the_spread_about_a_stays_own_mean():
    """An Ornstein-Uhlenbeck process of 0.25 m and 3 s, smoothed as it is; and each one's own mean."""
    random, count, memory_s, std_m = np.random.default_rng(0), 100, 3.0, 0.25
    keep = np.exp(-DT_S / memory_s)
    offset = std_m * random.standard_normal(count)
    offsets = []
    for _ in range(FRAMES):
        offset = keep * offset + std_m * np.sqrt(1 - keep**2) * random.standard_normal(count)
        offsets.append(offset)
    time_s = DT_S * np.arange(FRAMES)
    y = 1.5 * WIDTH_M + np.array(offsets) + 0.2 * random.standard_normal(count)
    paths = [np.stack([20.0 + 15.0 * time_s, column], axis=1) for column in y.T]
    wander = measure(recording_of(paths, ROAD)).wander_m
    # Over 60 s a mean takes away 2 * 3 / 60 of the variance; smoothing a few per cent more.
    assert wander == pytest.approx(std_m * np.sqrt(1 - 0.1), rel=0.06)


def test_roughness_across_the_road_is_the_noise_that_smoothing_leaves():
    from scipy import signal

    random, noise_m = np.random.default_rng(1), 0.05
    path = changing(5.0, lanes=0)
    path[:, 1] += noise_m * random.standard_normal(FRAMES)
    left = np.sqrt(1 - signal.savgol_coeffs(21, 3)[10])
    found = measure(recording_of([path], ROAD)).roughness_m
    assert found == pytest.approx(noise_m * left, rel=0.08)


def test_short_tracks_have_no_rate():
    recording = recording_of([changing(5.0, begin_s=6.0)[:170]], ROAD)
    assert np.isnan(measure(recording).per_vehicle_hour)
    assert measure(recording).medians()[0] == pytest.approx(5.0, abs=0.5)
