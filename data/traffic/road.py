"""The generator's highways: 500 m recorded, two to six lanes, perhaps a ramp on the right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError
from ppuu.units import LANE_WIDTH_M

SECTION_M = 500.0
"""Recorded length; vehicles are recorded while their centre is in [0, SECTION_M]."""

MARGIN_M = 60.0
"""The road continues beyond the section, so that its end is in no view from inside."""

FEWEST_LANES, MOST_LANES = 2, 6
"""Main lanes that a highway may have."""


@dataclass(frozen=True)
class Ramp:
    """A lane right of the main lanes: an on-ramp, an off-ramp or, as both, a weaving lane.

    Attributes:
        merge_start_m, merge_end_m: where lane changes to and from the ramp are possible.
        on_ramp: vehicles arrive on it; else the lane opens over ``TAPER_M`` before the start.
        off_ramp: it leaves the highway; else it tapers off over ``TAPER_M`` behind the end, and
            vehicles that have not merged wait there.
    """

    merge_start_m: float
    merge_end_m: float
    on_ramp: bool = True
    off_ramp: bool = False

    TAPER_M = 60.0

    def lane(self, width_m: float) -> tuple[np.ndarray, np.ndarray]:
        """Points of its left and right side; the left one lies at y = 0."""
        points = [(-MARGIN_M, -width_m)]
        if not self.on_ramp:
            start = self.merge_start_m
            points = [(start - self.TAPER_M, 0.0), (start, -width_m)]
        if self.off_ramp:
            points += [(SECTION_M + MARGIN_M, -width_m)]
        else:
            points += [(self.merge_end_m, -width_m), (self.merge_end_m + self.TAPER_M, 0.0)]
        right = np.array(points)
        left = np.stack([right[:, 0], np.zeros(len(right))], axis=1)
        return left, right


@dataclass(frozen=True)
class Highway:
    """The lanes of a road, counted from the left, and where vehicles may change to the ramp.

    Attributes:
        main_lanes: from ``FEWEST_LANES`` to ``MOST_LANES``, without the ramp.
        carpool_lane: whether lane 0 is open to few vehicles and therefore faster, as at I-80
            (13 m/s and gaps of 23 m, beside 8 m/s and 12 m).
        ramp: right of the last main lane, if there is one.
        lane_width_m: of every lane.
        smallest_radius_m: of the bends (``bends.py``); None for a straight road.

    Raises:
        InputError: a number of lanes out of range.
    """

    main_lanes: int
    carpool_lane: bool = False
    ramp: Ramp | None = None
    lane_width_m: float = LANE_WIDTH_M
    smallest_radius_m: float | None = None

    def __post_init__(self) -> None:
        if not FEWEST_LANES <= self.main_lanes <= MOST_LANES:
            raise InputError(
                f"main_lanes is {self.main_lanes}; give {FEWEST_LANES} to {MOST_LANES}"
            )

    @property
    def ramp_lane(self) -> int:
        """The lane right of the last main lane; without a ramp no vehicle is there."""
        return self.main_lanes

    def road(self) -> Road:
        """The road before it is bent: main lanes with y = 0 at their right edge, ramp below."""
        length = SECTION_M + 2 * MARGIN_M
        main = Road.straight(length, self.main_lanes, self.lane_width_m, start_m=-MARGIN_M)
        if self.ramp is None:
            return main
        lanes = [main.lane(k) for k in range(self.main_lanes)]
        return Road.from_lanes([*lanes, self.ramp.lane(self.lane_width_m)])

    def lane_centre_m(self, lane: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """y of a lane's centreline; the ramp's is below zero."""
        return (self.main_lanes - 0.5 - lane) * self.lane_width_m

    def on_carpool_lane(self, lane: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Whether a lane is the carpool lane."""
        return (lane == 0) & self.carpool_lane

    def at_ramp(self, x_m: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Where the ramp can be left and, if it is an off-ramp, entered.

        At the end of an on-ramp that tapers off vehicles still wait to leave it.
        """
        if self.ramp is None:
            return np.zeros(x_m.shape, bool)
        end = self.ramp.merge_end_m if self.ramp.off_ramp else np.inf
        return (x_m > self.ramp.merge_start_m) & (x_m < end)

    def ramp_urgency(self, x_m: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """0 to 1: how near the end of the stretch is where the ramp can be left or entered."""
        if self.ramp is None:
            return np.zeros(x_m.shape)
        return np.clip(x_m / self.ramp.merge_end_m, 0, 1)


I80_RAMP = Ramp(merge_start_m=20.0, merge_end_m=220.0)

I80 = Highway(main_lanes=6, carpool_lane=True, ramp=I80_RAMP)
"""Six lanes, of which the leftmost is the carpool lane, and an on-ramp, as at Emeryville."""

US101 = Highway(main_lanes=5, ramp=Ramp(merge_start_m=140.0, merge_end_m=352.0, off_ramp=True))
"""Five lanes and an auxiliary lane of 212 m from an on-ramp to an off-ramp, as in Los Angeles."""

MOTORWAY = Highway(
    main_lanes=3, ramp=Ramp(merge_start_m=20.0, merge_end_m=320.0), smallest_radius_m=800.0
)
"""Three lanes and an on-ramp, in bends as on a road for 130 km/h."""
