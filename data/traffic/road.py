"""The generator's highways: 500 m recorded, 3.7 m lanes, a ramp on the right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppuu.recordings.road import Road
from ppuu.units import LANE_WIDTH_M

SECTION_M = 500.0
"""Recorded length; vehicles are recorded while their centre is in [0, SECTION_M]."""

MAIN_LANES = 6
CARPOOL_LANE = 0
"""Open to few vehicles and therefore faster, as at I-80 (13 m/s and gaps of 23 m, beside 8 m/s and
12 m)."""
RAMP_LANE = MAIN_LANES
"""The ramp is the lane right of the last main lane."""

MARGIN_M = 60.0
"""The road continues beyond the section, so that its end is in no view from inside."""


@dataclass(frozen=True)
class Highway:
    """The lanes, and where vehicles may change between them and the ramp.

    Attributes:
        first_lane: leftmost lane; 1 if there is no carpool lane.
        merge_start_m, merge_end_m: where lane changes to and from the ramp are possible.
        off_ramp: the ramp continues as an off-ramp, so that vehicles weave; else it tapers off
            over ``TAPER_M`` and vehicles that have not merged wait at its end.
        smallest_radius_m: of the bends (``bends.py``); None for a straight road.
    """

    first_lane: int
    merge_start_m: float
    merge_end_m: float
    off_ramp: bool
    smallest_radius_m: float | None = None

    TAPER_M = 60.0

    def road(self) -> Road:
        """The road before it is bent: main lanes with y = 0 at their right edge, ramp below."""
        main = Road.straight(SECTION_M + 2 * MARGIN_M, MAIN_LANES, LANE_WIDTH_M, start_m=-MARGIN_M)
        if self.off_ramp:
            stations, side = np.array([-MARGIN_M, SECTION_M + MARGIN_M]), np.array([-1, -1])
        else:
            end = self.merge_end_m
            stations, side = np.array([-MARGIN_M, end, end + self.TAPER_M]), np.array([-1, -1, 0])
        left = np.stack([stations, np.zeros(len(stations))], axis=1)
        right = np.stack([stations, LANE_WIDTH_M * side], axis=1)
        lanes = [main.lane(k) for k in range(self.first_lane, MAIN_LANES)]
        return Road.from_lanes([*lanes, (left, right)])


I80 = Highway(first_lane=0, merge_start_m=20.0, merge_end_m=220.0, off_ramp=False)
"""Six lanes, of which the leftmost is the carpool lane, and an on-ramp, as at Emeryville."""

US101 = Highway(first_lane=1, merge_start_m=140.0, merge_end_m=352.0, off_ramp=True)
"""Five lanes and an auxiliary lane of 212 m from an on-ramp to an off-ramp, as in Los Angeles."""

MOTORWAY = Highway(
    first_lane=3, merge_start_m=20.0, merge_end_m=320.0, off_ramp=False, smallest_radius_m=800.0
)
"""Three lanes and an on-ramp, in bends as on a road for 130 km/h."""


def lane_centre_m(lane: np.ndarray) -> np.ndarray:
    """y of a lane's centreline; the ramp's is below zero."""
    return (MAIN_LANES - 0.5 - lane) * LANE_WIDTH_M
