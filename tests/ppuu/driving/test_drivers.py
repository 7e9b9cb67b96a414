"""Drivers drawn from the fitted ones."""

from __future__ import annotations

import numpy as np
import pytest

from ppuu.driving.drivers import draw_drivers, fitted_drivers

MANY = 4000


def drawn(seed: int = 0, lorries: bool = False, **scales):
    return draw_drivers(np.random.default_rng(seed), np.full(MANY, lorries), **scales)


@pytest.mark.parametrize("lorries", [False, True])
def test_drivers_are_those_of_the_table(lorries):
    table = fitted_drivers().lorries if lorries else fitted_drivers().cars
    headway, jam_gap, acceleration = np.median(table, axis=0)
    some = drawn(lorries=lorries)
    assert np.median(some.time_headway_s) == pytest.approx(headway, rel=0.1)
    assert np.median(some.jam_gap_m) == pytest.approx(jam_gap, rel=0.1)
    assert np.median(some.max_acceleration_mps2) == pytest.approx(acceleration, rel=0.15)


def test_correlations_survive():
    table = np.log(fitted_drivers().cars)
    some = drawn()
    logs = np.log(np.stack([some.time_headway_s, some.jam_gap_m], axis=1))
    expected = np.corrcoef(table[:, 0], table[:, 1])[0, 1]
    assert np.corrcoef(logs.T)[0, 1] == pytest.approx(expected, abs=0.12)


def test_scales():
    plain, scaled = drawn(), drawn(headway_scale=0.9, jam_gap_scale=1.2, free_speed_scale=0.5)
    assert np.median(scaled.time_headway_s / plain.time_headway_s) == pytest.approx(0.9)
    assert np.median(scaled.jam_gap_m / plain.jam_gap_m) == pytest.approx(1.2)
    np.testing.assert_allclose(scaled.desired_speed_mps, 0.5 * plain.desired_speed_mps)


def test_lorries_are_slower_than_cars_and_seeds_reproduce():
    cars, lorries = drawn(), drawn(lorries=True)
    assert lorries.desired_speed_mps.mean() < 0.9 * cars.desired_speed_mps.mean()
    np.testing.assert_array_equal(np.array(cars), np.array(drawn()))
    assert (np.array(cars) != np.array(drawn(seed=1))).any()
