"""Noise along the road."""

import numpy as np
import pytest
from scipy import signal

from eval.realism.spectrum import spectrum

DT_S = 0.1
TIME_S = DT_S * np.arange(2000)


def test_the_fast_fraction_is_that_of_the_variances():
    """Speeds of two frequencies, with 1 and 0.5 m/s."""
    slow, fast = 0.234375, 1.5625  # three and twenty periods in 12.8 s
    speed = np.sin(2 * np.pi * slow * TIME_S) + 0.5 * np.sin(2 * np.pi * fast * TIME_S)
    found = spectrum([np.cumsum(speed) * DT_S + 10.0 * TIME_S], DT_S)
    assert found.fast_fraction == pytest.approx(0.25 / 1.25, rel=0.02)
    width = found.frequency_hz[1]
    assert found.density.sum() * width == pytest.approx(0.5 + 0.125, rel=0.03)


def test_white_noise_is_as_rough_as_smoothing_leaves_it():
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(TIME_S))
    left = np.sqrt(1 - signal.savgol_coeffs(21, 3)[10])
    found = spectrum([10.0 * TIME_S + noise], DT_S)
    assert found.roughness_m == pytest.approx(0.1 * left, rel=0.05)


def test_short_tracks_have_no_spectrum():
    found = spectrum([10.0 * TIME_S[:100]], DT_S)
    assert np.isnan(found.fast_fraction) and found.roughness_m == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(spectrum([TIME_S[:5]], DT_S).roughness_m)
