"""The generator's highway: like I-80 at Emeryville, 500 m, six lanes and an on-ramp."""

from __future__ import annotations

import numpy as np

from ppuu.road import Road
from ppuu.units import LANE_WIDTH_M

SECTION_M = 500.0
"""Recorded length; vehicles are recorded while their centre is in [0, SECTION_M]."""

MAIN_LANES = 6
CARPOOL_LANE = 0
"""Open to few and therefore faster, as at I-80 (13 m/s beside 8 m/s, gaps of 23 m beside 12 m)."""
RAMP_LANE = MAIN_LANES
"""The on-ramp is the lane right of the last main lane."""

MERGE_START_M, RAMP_END_M, TAPER_END_M = 20.0, 220.0, 280.0
"""Where a ramp vehicle may first change lanes, where the ramp's full width ends, and its tip."""

MARGIN_M = 60.0
"""The drawn road goes on beyond the section, so that no view from inside shows it end."""


def highway() -> Road:
    """Six straight lanes with y = 0 at their right edge, and the ramp below, which tapers off."""
    main = Road.straight(SECTION_M + 2 * MARGIN_M, MAIN_LANES, LANE_WIDTH_M, start_m=-MARGIN_M)
    stations = np.array([-MARGIN_M, RAMP_END_M, TAPER_END_M])
    left = np.stack([stations, np.zeros(3)], axis=1)
    right = np.stack([stations, np.array([-LANE_WIDTH_M, -LANE_WIDTH_M, 0.0])], axis=1)
    return Road.from_lanes([main.lane(k) for k in range(MAIN_LANES)] + [(left, right)])


def lane_centre_m(lane: np.ndarray) -> np.ndarray:
    """y of a lane's centreline; the ramp's is below zero."""
    return (MAIN_LANES - 0.5 - lane) * LANE_WIDTH_M
