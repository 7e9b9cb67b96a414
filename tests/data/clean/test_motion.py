"""Heading and speed from positions: all tracks at once, as if each were alone."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.clean.motion import hold_last, motion, slope, towed_heading


def alone(values) -> np.ndarray:
    """The pointer of a single track."""
    return np.array([0, len(values)])


def wander(counts: list[int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of tracks that stop and turn, with noise; and their pointer."""
    rng = np.random.default_rng(seed)
    n = sum(counts)
    speed = np.clip(np.cumsum(rng.normal(0, 0.3, n)) % 12 - 3, 0, None)
    heading = np.cumsum(rng.normal(0, 0.05, n))
    x, y = (np.cumsum(0.1 * speed * part(heading)) for part in (np.cos, np.sin))
    noise = rng.normal(0, 0.05, (2, n))
    return x + noise[0], y + noise[1], np.concatenate([[0], np.cumsum(counts)])


def slope_of_one(values: np.ndarray, half_window: int) -> np.ndarray:
    half_window = min(half_window, len(values) - 1)
    if half_window < 1:
        return np.zeros(len(values))
    n, at = len(values), np.arange(-half_window, half_window + 1)
    found = np.empty(n)
    for row in range(n):
        window = []
        for place in row + at:
            if place < 0:
                window.append(2 * values[0] - values[-place])
            elif place >= n:
                window.append(2 * values[-1] - values[2 * (n - 1) - place])
            else:
                window.append(values[place])
        found[row] = np.polyfit(at, window, 1)[0]
    return found


def towed_alone(x: np.ndarray, y: np.ndarray, reach_m: float) -> np.ndarray:
    step_x, step_y = slope_of_one(x, 2), slope_of_one(y, 2)
    headings = [float(motion(x, y, alone(x), 0.1)[0][0])]
    for row in range(len(x) - 1):
        along = 0.5 * (step_x[row] + step_x[row + 1])
        across = 0.5 * (step_y[row] + step_y[row + 1])
        direction = math.atan2(across, along)
        angle = math.remainder(headings[-1] - direction, math.tau)
        angle = 2 * math.atan(
            math.tan(0.5 * angle) * math.exp(-math.hypot(along, across) / reach_m)
        )
        headings.append(math.remainder(direction + angle, math.tau))
    return np.array(headings)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 1000), st.integers(1, 7)
)
def test_slopes_of_many_tracks_are_line_fits_to_each(counts, seed, half_window):
    x, _, pointer = wander(counts, seed)
    expected = [
        slope_of_one(x[a:b], half_window) for a, b in zip(pointer[:-1], pointer[1:], strict=True)
    ]
    np.testing.assert_allclose(slope(x, pointer, half_window), np.concatenate(expected), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 1000))
def test_many_tracks_are_as_each_alone(counts, seed):
    x, y, pointer = wander(counts, seed)
    reach_m = np.linspace(2.0, 8.0, len(counts))
    parts = [slice(a, b) for a, b in zip(pointer[:-1], pointer[1:], strict=True)]
    heading, speed = motion(x, y, pointer, 0.1)
    for part in parts:
        own_heading, own_speed = motion(x[part], y[part], alone(x[part]), 0.1)
        np.testing.assert_allclose(heading[part], own_heading, atol=1e-9)
        np.testing.assert_allclose(speed[part], own_speed, atol=1e-9)
    towed = towed_heading(x, y, pointer, reach_m, 0.1)
    expected = np.concatenate(
        [towed_alone(x[p], y[p], r) for p, r in zip(parts, reach_m, strict=True)]
    )
    np.testing.assert_allclose(np.remainder(towed - expected + 3, math.tau), 3, atol=1e-9)


def test_what_is_unknown_is_held_within_its_own_track():
    known = np.array([0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0], bool)
    found = hold_last(np.arange(11.0), known, np.array([0, 5, 8, 11]))
    np.testing.assert_array_equal(found, [1, 1, 1, 3, 3, 0, 0, 0, 9, 9, 9])


def test_slope_of_a_line_is_exact_up_to_the_ends():
    np.testing.assert_allclose(slope(3.0 * np.arange(8) + 1, np.array([0, 8]), 5), 3.0)
    np.testing.assert_allclose(slope(np.array([1.0, 4.0]), np.array([0, 2]), 5), 3.0)


def test_heading_holds_at_standstill():
    rng = np.random.default_rng(0)
    speed = np.concatenate([np.full(50, 8.0), np.linspace(8, 0, 40), np.zeros(100)])
    x = np.cumsum(speed) * 0.1 + rng.normal(0, 0.03, 190)
    y = 0.1 * np.cumsum(speed) * 0.1 + rng.normal(0, 0.03, 190)
    heading, found = motion(x, y, alone(x), 0.1)
    np.testing.assert_allclose(heading, np.arctan(0.1), atol=0.06)
    assert np.ptp(heading[-90:]) == 0.0
    assert found[-90:].max() < 0.3


def test_the_towed_heading_is_that_of_the_centre_not_of_the_swinging_front():
    """A truck on an S: known headings come back once the first error has died away."""
    dt_s, speed_mps, reach_m = 0.1, 8.0, 6.0
    time_s = np.arange(0, 20, dt_s)
    heading = 0.3 * np.sin(0.6 * time_s)
    fine = np.arange(0, 20, 1e-3)
    angle = 0.3 * np.sin(0.6 * fine)
    x = np.interp(time_s, fine, np.cumsum(np.cos(angle)) * speed_mps * 1e-3)
    y = np.interp(time_s, fine, np.cumsum(np.sin(angle)) * speed_mps * 1e-3)
    front_x, front_y = x + reach_m * np.cos(heading), y + reach_m * np.sin(heading)
    found = towed_heading(front_x, front_y, alone(front_x), np.array([reach_m]), dt_s)
    np.testing.assert_allclose(found[40:], heading[40:], atol=3e-3)
    naive, _ = motion(front_x, front_y, alone(front_x), dt_s)
    assert np.abs(naive - heading)[40:].max() > 0.1


def test_the_towed_heading_does_not_turn_at_standstill():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.arange(60.0), np.full(600, 59.0)]) + rng.normal(0, 0.03, 660)
    found = towed_heading(x, rng.normal(0, 0.03, 660), alone(x), np.array([2.3]), 0.1)
    assert np.abs(found[60:]).max() < 0.05
