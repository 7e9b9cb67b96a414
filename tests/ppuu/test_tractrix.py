"""A towed vehicle, against its differential equation."""

import math

import numpy as np
from scipy.integrate import solve_ivp

from ppuu.tractrix import towed


def test_it_solves_its_differential_equation():
    rng = np.random.default_rng(0)
    heading, direction = rng.uniform(-3.0, 3.0, (2, 20))
    distance, reach = rng.uniform(0.0, 12.0, 20), rng.uniform(1.0, 8.0, 20)
    found = towed(heading, distance, direction, reach)
    for k in range(20):
        exact = solve_ivp(
            lambda _, angle, k=k: np.sin(direction[k] - angle) / reach[k],
            (0.0, distance[k]), [heading[k]], rtol=1e-10, atol=1e-10,
        ).y[0, -1]  # fmt: skip
        assert abs(math.remainder(found[k] - exact, math.tau)) < 1e-7


def test_one_that_stands_does_not_turn():
    found = towed(np.array([0.4]), np.zeros(1), np.array([-2.0]), np.array([2.0]))
    np.testing.assert_allclose(found, 0.4, atol=1e-12)
