"""Smoothing: no lag, no lost lane changes, no sideways motion of what hardly moves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline

from data import clean
from data.clean import CleanConfig
from data.clean.smoothing import forward_mean
from data.clean.splines import KnotGrid, Penalty, fit

from .test_clean import join, rows

DT_S = 0.1
LANE_M = 3.7


def dense_fit(station, values, weight, spacing, order, stiffness):
    """The same spline by scipy's basis and dense least squares, of one track."""
    pieces = max(int(np.ceil(station[-1] / spacing)), 1)
    knots = spacing * np.arange(-3, pieces + 4)
    basis = BSpline.design_matrix(station, knots, 3).toarray()
    bend = np.diff(np.eye(pieces + 3), order, axis=0) * spacing ** (0.5 - order)
    system = np.concatenate(
        [np.sqrt(weight)[:, None] * basis, np.sqrt(stiffness[: len(bend), None]) * bend]
    )
    sides = np.concatenate([np.sqrt(weight) * values, np.zeros(len(bend))])
    return basis @ np.linalg.lstsq(system, sides, rcond=None)[0]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_the_banded_spline_is_the_dense_one_in_every_track(seed, order):
    rng = np.random.default_rng(seed)
    counts = rng.integers(12, 40, 3)
    pointer = np.concatenate([[0], np.cumsum(counts)])
    station = np.concatenate([np.cumsum(np.r_[0, rng.uniform(0, 2, n - 1)]) for n in counts])
    values, weight = rng.normal(size=pointer[-1]), rng.uniform(0.5, 2.0, pointer[-1])
    grid = KnotGrid.along(station, pointer, 1.5)
    stiffness = rng.uniform(0.5, 5.0, grid.coefficients)
    found = grid.values(fit(grid, values[:, None], weight, (Penalty(order, stiffness),))[:, 0])
    for k in range(3):
        own, knots = slice(*pointer[k : k + 2]), slice(*grid.start[k : k + 2])
        expected = dense_fit(station[own], values[own], weight[own], 1.5, order, stiffness[knots])
        np.testing.assert_allclose(found[own], expected, atol=1e-6)


def test_slopes_are_the_splines_derivative():
    station = np.linspace(0.0, 20.0, 81)
    grid = KnotGrid.along(station, np.array([0, 81]), 1.0)
    found = fit(grid, (station**2)[:, None], np.ones(81), (Penalty(3, 1.0),))[:, 0]
    np.testing.assert_allclose(grid.values(found), station**2, atol=1e-6)
    np.testing.assert_allclose(grid.slopes(found), 2 * station, atol=1e-6)


def lane_change(speed_mps: float, duration_s: float = 4.0):
    """A car that moves one lane to the left along half a cosine, in the middle of 30 s."""
    frame = np.arange(301)
    time_s = np.clip(DT_S * frame - 15.0 + 0.5 * duration_s, 0.0, duration_s)
    y_m = 0.5 * LANE_M * (1 - np.cos(np.pi * time_s / duration_s))
    x_m = DT_S * speed_mps * frame
    return replace(rows(frame, x_m=x_m, y_m=y_m), heading_rad=None, speed_mps=None)


def crossing_s(y_m: np.ndarray, level: float) -> float:
    """When y first rises above a share of the lane's width."""
    row = int(np.flatnonzero(y_m > level * LANE_M)[0])
    before, after = y_m[row - 1], y_m[row]
    return DT_S * (row - 1 + (level * LANE_M - before) / (after - before))


@pytest.mark.parametrize("speed_mps", [3.0, 8.0, 15.0, 30.0])
def test_a_lane_change_is_neither_late_nor_longer(speed_mps):
    table = lane_change(speed_mps)
    made = clean.recording(table)
    for level in (0.1, 0.5, 0.9):
        assert crossing_s(made.y_m, level) == pytest.approx(crossing_s(table.y_m, level), abs=0.1)
    duration = [crossing_s(y, 0.95) - crossing_s(y, 0.05) for y in (table.y_m, made.y_m)]
    assert duration[1] == pytest.approx(duration[0], rel=0.1)
    assert made.y_m[-1] - made.y_m[0] == pytest.approx(LANE_M, abs=0.02)


def queue() -> np.ndarray:
    """Speed of stop and go: 0 for ten seconds, up to 3 m/s and down again, twice."""
    wave = np.concatenate([np.zeros(100), 1.5 * (1 - np.cos(np.linspace(0, 2 * np.pi, 200)))])
    return np.tile(wave, 2)


def jittered(seed: int = 0):
    """A queue along x with jitter as NGSIM's: white 2 cm and 0.15 m that lasts a second."""
    rng = np.random.default_rng(seed)
    speed = queue()
    slow = np.zeros((2, len(speed)))
    for k in range(1, len(speed)):
        slow[:, k] = slow[:, k - 1] * np.exp(-0.1) + rng.normal(0, 0.15 * np.sqrt(0.18), 2)
    x_m, y_m = slow + rng.normal(0, 0.02, slow.shape)
    x_m += np.cumsum(DT_S * speed)
    table = rows(np.arange(len(speed)), x_m=x_m, y_m=y_m)
    return replace(table, heading_rad=None, speed_mps=None), speed


@pytest.mark.parametrize("at_front", [False, True])
def test_what_hardly_moves_does_not_move_sideways(at_front):
    cars = [jittered(seed) for seed in range(5)]
    tables = [
        replace(table, vehicle=np.full(600, k), y_m=table.y_m + 10.0 * k)
        for k, (table, _) in enumerate(cars)
    ]
    table, speed = replace(join(*tables), at_front=at_front), np.tile(cars[0][1], 5)
    before = clean.recording(table, CleanConfig(smoothing="none"))
    after = clean.recording(table)
    found = after.provenance["report"]["saturated_actions"]
    assert max(found.values()) < 0.01
    assert min(before.provenance["report"]["saturated_actions"].values()) > 0.2
    assert np.abs(after.heading_rad).max() < 0.1
    standing = speed == 0
    within = np.arange(3000) % 600 > 0
    assert np.abs(np.diff(after.y_m, prepend=0.0))[standing & within].max() < 0.01
    assert (np.diff(after.x_m, prepend=0.0)[within] > -1e-3).all()
    assert np.std(after.y_m[:600]) < 0.7 * np.std(table.y_m[:600])


def test_smooth_motion_stays_as_it_is():
    angle = 0.02 * np.arange(200)
    table = rows(
        range(200), x_m=50 * np.sin(angle), y_m=50 * (1 - np.cos(angle)), heading_rad=angle
    )
    made = clean.recording(table)
    inside = slice(10, -10)
    np.testing.assert_allclose(made.x_m[inside], table.x_m[inside], atol=0.03)
    np.testing.assert_allclose(made.y_m[inside], table.y_m[inside], atol=0.03)
    np.testing.assert_allclose(np.unwrap(made.heading_rad)[inside], angle[inside], atol=0.01)
    np.testing.assert_allclose(made.speed_mps[inside], 10.0, atol=0.05)


def test_a_parked_vehicle_keeps_its_place_and_its_recorded_heading():
    noise = np.random.default_rng(1).normal(0, 0.05, (2, 100))
    table = rows(range(100), x_m=noise[0], y_m=noise[1], heading_rad=np.full(100, 1.5))
    made = clean.recording(table)
    np.testing.assert_allclose(made.heading_rad, 1.5, atol=1e-3)
    assert max(np.ptp(made.x_m), np.ptp(made.y_m)) < 0.05
    assert made.speed_mps.max() < 0.2


def test_a_track_does_not_depend_on_the_others():
    one, _ = jittered(0)
    other = replace(jittered(1)[0], vehicle=np.full(600, 2))
    other = replace(other, y_m=other.y_m + 20.0)
    alone, both = clean.recording(one), clean.recording(join(one, other))
    np.testing.assert_allclose(both.x_m[:600], alone.x_m, atol=1e-6)
    np.testing.assert_allclose(both.y_m[:600], alone.y_m, atol=1e-6)


def test_the_forward_mean_is_of_a_frame_and_the_14_that_follow():
    values = np.random.default_rng(0).normal(size=100)
    found = forward_mean(values)
    for row in (0, 13, 45):
        assert found[row] == pytest.approx(values[row : row + 15].mean())


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
    table, _ = jittered()
    made = clean.recording(table, CleanConfig(smoothing="none"))
    np.testing.assert_array_equal(made.x_m, table.x_m)
    assert "positions_written" not in made.provenance["report"]["statistics"]
