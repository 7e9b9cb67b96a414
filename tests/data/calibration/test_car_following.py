"""Fits of drivers to pairs whose drivers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.calibration.car_following import (
    COLUMNS,
    DRIVER,
    errors,
    fit,
    fit_population,
    follow,
    headway_variation,
)
from data.calibration.pairs import Pairs, padded
from data.calibration.tables import DT_S

STEPS = 400
TRUE = np.array([[25.0, 1.6, 2.0, 1.5, 2.0, 0.0], [25.0, 0.8, 3.0, 0.8, 2.0, 0.0]])


def behind(leader_mps: np.ndarray, drivers: np.ndarray) -> Pairs:
    """Followers with known parameters behind one leader."""
    count = len(drivers)
    leader = np.tile(leader_mps, (count, 1))
    rear = 20 + np.cumsum(leader, axis=1) * DT_S
    start = padded(
        [str(k) for k in range(count)],
        [
            list(np.full_like(leader, 12.0)),
            list(np.full_like(leader, 7.0)),
            list(rear),
            list(leader),
        ],
    )
    gap, speed = follow(drivers[:, None], start)
    return replace(start, gap_m=gap[:, :, 0].T, speed_mps=speed[:, :, 0].T)


@pytest.fixture(scope="module")
def known() -> Pairs:
    """The leader slows down and starts again."""
    return behind(7 + 4 * np.sin(np.arange(STEPS) * DT_S / 3), TRUE)


def test_finds_known_drivers_again(known):
    random = np.random.default_rng(0)
    prior = np.array([25.0, 1.2, 2.5, 1.2, 2.0, 0.0])
    found = fit(known, DRIVER, random, prior)
    error = errors(found[:, None], known)
    assert error.gap_m.max() < 0.8
    headway = COLUMNS.index("time_headway_s")
    np.testing.assert_allclose(found[:, headway], TRUE[:, headway], rtol=0.25)
    np.testing.assert_allclose(found[:, COLUMNS.index("desired_speed_mps")], 25.0)
    true = errors(TRUE[:, None], known)
    assert true.relative.max() < 1e-12


def test_a_delayed_driver_reacts_later():
    """After a step of the leader's speed, the first reaction comes after the delay."""
    leader = np.where(np.arange(STEPS) < 100, 7.0, 4.0)
    drivers = np.tile(TRUE[0], (2, 1))
    drivers[1, -1] = 0.7
    speed = behind(leader, drivers).speed_mps
    steady = behind(np.full(STEPS, 7.0), drivers).speed_mps
    first = (np.abs(speed - steady) > 1e-9).argmax(axis=1)
    assert first[1] - first[0] == 7


def test_the_population_has_one_driver(known):
    random = np.random.default_rng(0)
    same = behind(known.leader_speed_mps[0], TRUE[[0, 0]])
    driver = fit_population(same, DRIVER, random)
    assert driver[COLUMNS.index("time_headway_s")] == pytest.approx(1.6, rel=0.1)


def test_parts_of_pairs(known):
    cut = replace(known, count=np.array([STEPS, STEPS // 2]))
    late = cut.part(0.5, 1.0)
    assert late.count.tolist() == [STEPS // 2, STEPS // 4]
    np.testing.assert_array_equal(late.gap_m[0], known.gap_m[0, STEPS // 2 :])
    assert (late.gap_m[1, STEPS // 4 :] == late.gap_m[1, STEPS // 4 - 1]).all()


def test_a_known_variation_of_headways_is_found():
    random = np.random.default_rng(1)
    steps, pairs, memory_s, log_std = 3000, 12, 6.0, 0.25
    keep = np.exp(-DT_S / memory_s)
    log = np.zeros((pairs, steps))
    log[:, 0] = log_std * random.standard_normal(pairs)
    for step in range(1, steps):
        noise = log_std * np.sqrt(1 - keep**2) * random.standard_normal(pairs)
        log[:, step] = keep * log[:, step - 1] + noise
    speed = np.full((pairs, steps), 8.0)
    gap = 2.0 + 1.6 * 8.0 * np.exp(log)
    some = Pairs(("",) * pairs, gap, speed, speed, speed, np.full(pairs, steps))
    found = headway_variation(some, np.tile(TRUE[0], (pairs, 1)))
    assert found.log_std == pytest.approx(log_std, rel=0.15)
    assert found.memory_s == pytest.approx(memory_s, rel=0.25)
