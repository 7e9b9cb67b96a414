"""The model of the errors: its covariance, and the filter that makes it of white noise."""

from typing import get_args

import numpy as np
import pytest
from scipy.signal import lfilter

from ppuu.perception.sensors import DRONE, EXACT, NGSIM, SENSORS, NoisePart, SensorName


@pytest.mark.parametrize("dt_s", [0.04, 0.1, 0.5])
@pytest.mark.parametrize("memory_s", [0.0, 0.05, 0.6, 3.0])
def test_the_filter_has_the_covariance_at_every_time_step(dt_s, memory_s):
    part = NoisePart(0.7, memory_s)
    frames = round(20 * memory_s / dt_s) + 50
    response = lfilter(*part.recursion(dt_s), np.eye(1, frames)[0])
    lags = np.arange(20)
    found = [response[lag:] @ response[: frames - lag] for lag in lags]
    np.testing.assert_allclose(found, part.covariance(lags * dt_s), atol=1e-7)


def test_a_part_is_a_critically_damped_second_order_process():
    """Its spectrum is that of a mass on a critically damped spring that white noise moves."""
    part = NoisePart(0.5, 0.6)
    rate = 1 / part.memory_s
    angular = np.linspace(-4000, 4000, 800_001)
    density = 2 * rate**3 * part.std_m**2 / np.pi / (rate**2 + angular**2) ** 2
    lags = np.array([0.0, 0.1, 0.5, 1.0, 3.0])
    found = [(density * np.cos(angular * lag)).sum() * (angular[1] - angular[0]) for lag in lags]
    np.testing.assert_allclose(found, part.covariance(lags), atol=1e-5)


def test_covariances_of_parts_add_up():
    lags = np.array([0.0, 0.3])
    parts = [part.covariance(lags) for part in NGSIM.along]
    np.testing.assert_allclose(NGSIM.covariance("along", lags), np.sum(parts, axis=0))
    assert not EXACT.covariance("across", lags).any()


def test_names_and_sizes():
    assert set(SENSORS) == set(get_args(SensorName))
    now = np.zeros(1)
    # highD: typically less than 0.1 m, two standard deviations.
    assert 2 * DRONE.covariance("along", now)[0] ** 0.5 == pytest.approx(0.1, abs=0.005)
    assert NGSIM.covariance("along", now)[0] > 25 * NGSIM.covariance("across", now)[0]
