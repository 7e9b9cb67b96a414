"""Vehicles stay in their lanes while they keep them."""

from __future__ import annotations

import numpy as np
import pytest

from data.traffic.lane_keeping import draw_waves, in_lane


def test_a_drift_never_reaches_the_line():
    drift = np.linspace(-3.0, 3.0, 6001)
    for width, lane in ((1.9, 3.7), (2.55, 3.2), (2.5, 2.4)):
        bounded, slope = in_lane(drift, np.full(6001, width), lane)
        assert np.abs(bounded).max() <= max(0.5 * (lane - width) - 0.1, 0.05)
        numeric = np.gradient(bounded, drift)
        np.testing.assert_allclose(slope[1:-1], numeric[1:-1], atol=0.03)


def test_small_drifts_stay_what_they_are():
    bounded, _ = in_lane(np.array([0.1]), np.array([1.9]), 3.7)
    assert bounded[0] == pytest.approx(0.1, rel=0.01)


def test_waves_have_the_wanted_size():
    random = np.random.default_rng(0)
    amplitude, rate, phase = draw_waves(random, 0.3, 500)
    time = np.arange(0, 600, 1.0)[:, None, None]
    drift = (amplitude * np.sin(rate * time + phase)).sum(-1)
    assert drift.std() == pytest.approx(0.3, rel=0.03)
