"""What the rules that list tasks look at: where egos start, and what the humans then did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.recordings.recording import Recording

from .lanes import Lanes

ROOM_M = 40.0
"""A lane that does not go on so far beyond the drive is no lane to be in at its end."""


@dataclass(frozen=True, eq=False)
class Situation:
    """Starts of one recording, a row each.

    Attributes:
        recording: the traffic.
        lanes: of its road.
        vehicle: index of the ego.
        start_m: where it starts.
        human_end_m: where the human is at the goal.
        distance_m: length of the drive.
    """

    recording: Recording
    lanes: Lanes
    vehicle: Int[np.ndarray, " n"]
    start_m: Float[np.ndarray, "n 2"]
    human_end_m: Float[np.ndarray, "n 2"]
    distance_m: float

    def take(self, rows: Bool[np.ndarray, " n"]) -> Situation:
        """Some of the starts."""
        return replace(
            self,
            vehicle=self.vehicle[rows],
            start_m=self.start_m[rows],
            human_end_m=self.human_end_m[rows],
        )

    @cached_property
    def start_lane(self) -> Int[np.ndarray, " n"]:
        """Lane at the start, or ``NO_LANE``."""
        return self.lanes.at(self.start_m)

    @cached_property
    def human_lane(self) -> Int[np.ndarray, " n"]:
        """The human's lane at the goal, or ``NO_LANE``."""
        return self.lanes.at(self.human_end_m)

    def beside(self, lanes: int) -> Int[np.ndarray, " n"]:
        """The lanes so many lanes to the left (negative: right) of those at the start."""
        return self.lanes.beside(self.start_m, self.start_lane, lanes)

    def goes_on(self, lane: Int[np.ndarray, " n"]) -> np.ndarray:
        """Whether lanes go on for the whole drive, and ``ROOM_M`` beyond."""
        return self.lanes.ahead_m(self.start_m, lane) > self.distance_m + ROOM_M
