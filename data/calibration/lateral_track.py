"""A vehicle's motion across the road, in its lane and from one lane to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped

from .tables import runs

STAY_S = 3.0
"""A lane change counts between stays of at least this length."""


@dataclass(frozen=True, eq=False)
class LateralTrack:
    """One vehicle across the road.

    Attributes:
        offset_m: ``(frames,)`` from a line along the road, left positive.
        centre_m: ``(frames,)`` the same of the centre of its lane.
        lane: ``(frames,)`` whole numbers, counted from any lane, growing to the right.
        on_road: ``(frames,)`` whether it is on a lane.
        dt_s: seconds a frame.
    """

    offset_m: Float[np.ndarray, " frames"]
    centre_m: Float[np.ndarray, " frames"]
    lane: Shaped[np.ndarray, " frames"]
    on_road: Bool[np.ndarray, " frames"]
    dt_s: float

    @property
    def duration_s(self) -> float:
        """Time from the first frame to the end of the last."""
        return len(self.offset_m) * self.dt_s

    def stable_changes(self) -> list[tuple[int, int]]:
        """Changes between stays of 3 s in the old and in the new lane.

        Returns:
            Of each, the frame in the middle between both stays, and by how many lanes: positive to
            the left.
        """
        stays = [
            part
            for part in runs(self.lane)
            if (part.stop - part.start) * self.dt_s >= STAY_S and self.on_road[part].all()
        ]
        return [
            ((before.stop + after.start) // 2, lanes)
            for before, after in zip(stays[:-1], stays[1:], strict=True)
            if (lanes := int(self.lane[before.start] - self.lane[after.start]))
        ]
