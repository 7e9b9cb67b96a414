"""The Intelligent Driver Model on NumPy arrays and torch tensors."""

import numpy as np
import pytest
import torch

from ppuu.driving.idm import (
    IdmParameters,
    anticipating_idm_acceleration,
    idm_acceleration,
    unlimited_idm_acceleration,
)

PARAMETERS = IdmParameters(30.0, 1.2, 2.0, 1.5, 2.0)
FORMULAS = (idm_acceleration, unlimited_idm_acceleration)


@pytest.mark.parametrize("formula", FORMULAS)
def test_equilibrium(formula):
    """At the gap (s0 + v T) / sqrt(1 - (v / v0)^4) behind an equally fast leader: no change."""
    speed = np.array([0.0, 5.0, 15.0])
    gap = (2.0 + 1.2 * speed) / np.sqrt(1 - (speed / 30.0) ** 4)
    np.testing.assert_allclose(formula(PARAMETERS, speed, gap, speed), 0.0, atol=1e-12)


def test_above_the_desired_speed_only_one_of_them_limits_the_braking():
    speed, no_leader = np.array([0.0, 30.0, 60.0]), np.full(3, np.inf)
    limited, unlimited = (formula(PARAMETERS, speed, no_leader, speed) for formula in FORMULAS)
    np.testing.assert_allclose(limited, [1.5, 0.0, -2.0], atol=1e-12)
    np.testing.assert_allclose(unlimited, [1.5, 0.0, 1.5 * (1 - 2.0**4)], atol=1e-12)


def test_both_agree_below_the_desired_speed():
    random = np.random.default_rng(0)
    speed, leader = random.uniform(0, 29, (2, 500))
    gap = random.uniform(-1, 100, 500)
    limited, unlimited = (formula(PARAMETERS, speed, gap, leader) for formula in FORMULAS)
    np.testing.assert_allclose(limited, unlimited, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_tensors_give_the_numbers_of_arrays(formula):
    random = np.random.default_rng(1)
    arrays = random.uniform(0, 40, (3, 500))
    drivers = IdmParameters(*random.uniform(0.5, 3.0, (5, 500)))
    found = formula(IdmParameters(*map(torch.tensor, drivers)), *map(torch.tensor, arrays))
    np.testing.assert_allclose(found.numpy(), formula(drivers, *arrays), rtol=1e-12)


def test_anticipation_leaves_a_uniform_column_as_it_is():
    """Treiber, Kesting and Helbing (2006): the equilibrium of following does not change."""
    driver = IdmParameters(30.0, 1.3, 2.0, 1.2, 1.5)
    speed = np.linspace(0.0, 15.0, 16)
    alone = idm_acceleration(driver, speed, (2.0 + 1.3 * speed), speed)
    for leaders in (2, 3):
        gaps = [place * (2.0 + 1.3 * speed) for place in range(1, leaders + 1)]
        together = anticipating_idm_acceleration(driver, speed, gaps, [speed] * leaders)
        np.testing.assert_allclose(together, alone, atol=1e-12)


def test_anticipation_brakes_for_the_second_vehicle_ahead_and_ends_with_the_first():
    driver = IdmParameters(30.0, 1.3, 2.0, 1.2, 1.5)
    gaps, speeds = [np.array([20.0]), np.array([40.0])], [np.array([10.0]), np.array([10.0])]
    steady = anticipating_idm_acceleration(driver, np.array([10.0]), gaps, speeds)
    braking = anticipating_idm_acceleration(
        driver, np.array([10.0]), gaps, [speeds[0], np.array([5.0])]
    )
    assert braking < steady - 0.1
    nothing = [gaps[0], np.array([np.inf])]
    assert anticipating_idm_acceleration(driver, np.array([10.0]), nothing, speeds) > steady
    one = anticipating_idm_acceleration(driver, np.array([10.0]), gaps[:1], speeds[:1])
    assert one == idm_acceleration(driver, np.array([10.0]), gaps[0], speeds[0])
