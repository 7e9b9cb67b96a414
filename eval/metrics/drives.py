"""A log of driven episodes: every frame, one episode after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Drives:
    """A log of episodes; episode ``k`` owns the rows ``pointer[k]:pointer[k + 1]``.

    An episode's first row is its start, before any action.  ``inf`` means that there is no
    other vehicle.

    Attributes:
        pointer: ``(episodes + 1,)``.
        x_m, y_m, heading_rad, speed_mps: ``(rows,)`` the ego.
        acceleration_mps2: ``(rows,)`` the action that led here; 0 at the start.
        clearance_m: ``(rows,)`` to the nearest vehicle.
        time_to_collision_s: ``(rows,)`` if all kept velocity and heading.
        gap_m: ``(rows,)`` to the leader's rear bumper.
        lane_offset_m: ``(rows,)`` left of the lane's centre line; NaN off the lanes.
        outcome, collision_kind: ``(episodes,)`` numbers of the simulator's enumerations.
        at_fault: ``(episodes,)``.
        distance_m: ``(episodes,)`` path driven.
        human_distance_m: ``(episodes,)`` path that the recorded human drove in the same time.
        post_encroachment_s: ``(episodes,)`` smallest post-encroachment time.
        dt_s: seconds between rows.
    """

    pointer: Int[np.ndarray, " episodes_1"]
    x_m: Float[np.ndarray, " rows"]
    y_m: Float[np.ndarray, " rows"]
    heading_rad: Float[np.ndarray, " rows"]
    speed_mps: Float[np.ndarray, " rows"]
    acceleration_mps2: Float[np.ndarray, " rows"]
    clearance_m: Float[np.ndarray, " rows"]
    time_to_collision_s: Float[np.ndarray, " rows"]
    gap_m: Float[np.ndarray, " rows"]
    lane_offset_m: Float[np.ndarray, " rows"]
    outcome: Int[np.ndarray, " episodes"]
    collision_kind: Int[np.ndarray, " episodes"]
    at_fault: Bool[np.ndarray, " episodes"]
    distance_m: Float[np.ndarray, " episodes"]
    human_distance_m: Float[np.ndarray, " episodes"]
    post_encroachment_s: Float[np.ndarray, " episodes"]
    dt_s: float

    def __len__(self) -> int:
        return len(self.outcome)

    @cached_property
    def steps(self) -> Int[np.ndarray, " episodes"]:
        """Number of actions."""
        return np.diff(self.pointer) - 1

    @cached_property
    def driven(self) -> Bool[np.ndarray, " rows"]:
        """Marks every row but the starts, which precede the first action."""
        driven = np.ones(len(self.x_m), bool)
        driven[self.pointer[:-1]] = False
        return driven

    @cached_property
    def episode(self) -> Int[np.ndarray, " rows"]:
        """Episode of each row."""
        return np.repeat(np.arange(len(self)), np.diff(self.pointer))

    def smallest(
        self, values: Float[np.ndarray, " rows"], where: Bool[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " episodes"]:
        """Each episode's smallest value over chosen rows; inf without any."""
        return np.minimum.reduceat(np.where(where, values, np.inf), self.pointer[:-1])

    def mean(
        self, values: Float[np.ndarray, " rows"], where: Bool[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " episodes"]:
        """Each episode's mean over chosen rows; NaN without any."""
        count = np.add.reduceat(where.astype(float), self.pointer[:-1])
        total = np.add.reduceat(np.where(where, values, 0.0).astype(float), self.pointer[:-1])
        return np.divide(total, count, out=np.full(len(self), np.nan), where=count > 0)
