"""Smoothing: against scipy, against brute-force least squares, and on noise around a known path."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from data import clean
from data.clean import CleanConfig
from data.clean.motion import motion
from data.clean.smoothing import forward_mean, rauch_tung_striebel, savitzky_golay

from .test_clean import join, rows

COUNTS = [60, 11, 12, 35]
POINTER = np.cumsum([0, *COUNTS])


def noisy(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(1.0, 0.2, POINTER[-1])) + rng.normal(0, 0.3, POINTER[-1])


def of_each(values: np.ndarray):
    return np.split(values, POINTER[1:-1])


def test_savitzky_golay_is_scipys():
    values = noisy()
    found = savitzky_golay(values, POINTER, 11)
    for own, expected in zip(of_each(found), of_each(values), strict=True):
        np.testing.assert_allclose(own, savgol_filter(expected, 11, 3), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 5))
def test_savitzky_golay_keeps_cubics_in_tracks_of_any_length(counts, half):
    pointer = np.cumsum([0, *counts])
    t = np.concatenate([np.arange(count) for count in counts]) - 5.0
    values = 0.02 * t**3 - 0.3 * t**2 + t + 7
    found = savitzky_golay(values, pointer, 2 * half + 1)
    np.testing.assert_allclose(found, values, atol=1e-9)


def least_squares(values: np.ndarray, dt_s: float, noise_m: float, agility: float) -> np.ndarray:
    """All positions, speeds and accelerations of a track at once, from everything that is known."""
    n, t = len(values), dt_s
    step = np.array([[1, t, t**2 / 2], [0, 1, t], [0, 0, 1]])
    # Covariance of what white jerk adds within a step, by quadrature.
    ages = (np.arange(20_000) + 0.5) * t / 20_000
    effect = np.stack([ages**2 / 2, ages, np.ones_like(ages)])
    process = agility**2 * effect @ effect.T * t / 20_000
    whiten = np.linalg.inv(np.linalg.cholesky(process))
    equations, sides = [], []
    for k in range(n):
        row = np.zeros((1, 3 * n))
        row[0, 3 * k] = 1 / noise_m
        equations.append(row)
        sides.append([values[k] / noise_m])
        if k + 1 < n:
            row = np.zeros((3, 3 * n))
            row[:, 3 * k : 3 * k + 3], row[:, 3 * k + 3 : 3 * k + 6] = -whiten @ step, whiten
            equations.append(row)
            sides.append(np.zeros(3))
    # What is known before the first position: hardly anything.
    row = np.zeros((2, 3 * n))
    row[0, 1], row[1, 2] = 1 / 100.0, 1 / 10.0
    equations.append(row)
    sides.append(np.zeros(2))
    solved = np.linalg.lstsq(np.concatenate(equations), np.concatenate(sides), rcond=None)[0]
    return solved[::3]


@pytest.mark.parametrize("dt_s, noise_m, agility", [(0.1, 0.3, 1.0), (0.04, 0.1, 3.0)])
def test_rts_is_the_least_squares_path(dt_s, noise_m, agility):
    values = noisy() * 10 * dt_s
    found = rauch_tung_striebel(values, POINTER, dt_s, noise_m, agility)
    for own, measured in zip(of_each(found), of_each(values), strict=True):
        np.testing.assert_allclose(
            own, least_squares(measured, dt_s, noise_m, agility), atol=1e-5 * noise_m
        )


def test_the_forward_mean_is_of_a_frame_and_the_14_that_follow():
    values = noisy()
    found = forward_mean(values, POINTER)
    for row in (0, 13, 45):
        assert found[row] == pytest.approx(values[row : row + 15].mean())


def circle(noise_m: float, **other):
    """A car on a circle of 50 m radius at 10 m/s, for 20 s."""
    angle = 0.02 * np.arange(200)
    rng = np.random.default_rng(3)
    x, y = 50 * np.sin(angle) + rng.normal(0, noise_m, 200), 50 * (1 - np.cos(angle))
    return rows(np.arange(200), x_m=x, y_m=y + rng.normal(0, noise_m, 200), **other), angle


@pytest.mark.parametrize("method, error_m", [("savitzky-golay", 0.17), ("rts", 0.11)])
def test_noise_shrinks_and_heading_and_speed_follow_the_smooth_path(method, error_m):
    noisy_rows, angle = circle(0.2, heading_rad=None, speed_mps=np.full(200, 77.0))
    made = clean.recording(noisy_rows, CleanConfig(smoothing=method))
    inside = slice(10, -10)
    off_m = np.hypot(made.x_m - 50 * np.sin(angle), made.y_m - 50 * (1 - np.cos(angle)))
    assert np.sqrt(np.mean(off_m[inside] ** 2)) < error_m < 0.2
    np.testing.assert_allclose(made.speed_mps[inside], 10.0, atol=0.6)
    turned = np.unwrap(made.heading_rad) - angle
    assert np.abs(turned[inside]).max() < 0.08
    heading, speed = motion(made.x_m, made.y_m, made.vehicle_pointer, 0.1)
    np.testing.assert_allclose(made.speed_mps, speed, rtol=1e-6)
    np.testing.assert_allclose(np.exp(1j * made.heading_rad), np.exp(1j * heading), atol=1e-6)
    report = made.provenance["report"]
    assert report["repaired"] == {f"row smoothed ({method})": 200}
    jerk = {source: found["jerk_mps3"]["p99"] for source, found in report["statistics"].items()}
    assert jerk["positions_written"] < 0.3 * jerk["positions_read"]
    assert made.provenance["clean"]["smoothing"] == method


def test_recorded_headings_are_smoothed_across_the_turn_of_the_scale():
    table = rows(range(40), x_m=-np.arange(40.0), heading_rad=np.tile([3.12, -3.12], 20))
    made = clean.recording(table, CleanConfig(smoothing="savitzky-golay"))
    assert (np.abs(made.heading_rad) > 3.11).all()


def test_the_mean_of_ppuu_leads_by_seven_frames_and_costs_fourteen():
    table = join(rows(range(50)), rows(range(23), vehicle=2, y_m=1.0))
    made = clean.recording(table, CleanConfig(smoothing="ppuu-mean"))
    np.testing.assert_array_equal(made.vehicle_id, [1])
    np.testing.assert_allclose(made.x_m, np.arange(36) + 7.0)
    dropped = made.provenance["report"]["dropped"]
    assert dropped == {
        "track shorter than 1 s and the 14 frames of the smoothing": 23,
        "last 14 frames of a track (ppuu-mean)": 14,
    }


def test_without_smoothing_positions_are_as_recorded():
    table, _ = circle(0.2)
    made = clean.recording(replace(table, heading_rad=None), CleanConfig())
    np.testing.assert_array_equal(made.x_m, table.x_m)
    assert "positions_written" not in made.provenance["report"]["statistics"]
