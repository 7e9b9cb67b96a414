"""What the filter lets through."""

import numpy as np

from data.calibration.low_pass import low_pass
from data.calibration.tables import DT_S


def test_the_filter_keeps_slow_motion_and_stops_fast():
    time_s = DT_S * np.arange(600)
    slow, fast = np.sin(2 * np.pi * 0.1 * time_s), np.sin(2 * np.pi * 1.5 * time_s)
    inner = slice(100, -100)
    np.testing.assert_allclose(low_pass(slow + fast, DT_S)[inner], slow[inner], atol=1e-3)
    np.testing.assert_allclose(low_pass(30.0 * time_s, DT_S), 30.0 * time_s, atol=1e-9)
    np.testing.assert_array_equal(low_pass(fast[:20], DT_S), fast[:20])  # too short
