"""One episode, frame by frame, for the replay page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ppuu.policies.plan_snapshot import PlanSnapshot

from .success import SUCCESSES


@dataclass(frozen=True, eq=False)
class NearbyVehicles:
    """The vehicles near the ego: one row a vehicle and frame, sorted by vehicle, then frame.

    Attributes:
        vehicle: ``(rows,)`` the scene's number of it.
        frame: ``(rows,)`` counted from the episode's start.
        box: ``(rows, 5)`` x_m, y_m, heading_rad, length_m, width_m.
    """

    vehicle: Int[np.ndarray, " rows"]
    frame: Int[np.ndarray, " rows"]
    box: Float[np.ndarray, "rows 5"]


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """One policy in one scenario, the start included.

    Attributes:
        policy: the policy's name.
        scenario: its number in the scenario set.
        outcome, collision_kind, at_fault: how it ended.
        hit_vehicle: the scene's number of the vehicle hit, -1 for none.
        state: ``(frames, 4)`` x_m, y_m, heading_rad, speed_mps.
        human: ``(frames, 4)`` the same of the recorded human.
        signals: ``(frames,)`` by name: ``acceleration_mps2``, ``curvature_radpm``,
            ``clearance_m``, ``time_to_collision_s``, ``distance_m``, and the weighted terms of
            the driving cost (``cost/NAME``) and of the reward (``reward/NAME``).
        others: the vehicles nearby.
        plans: ``(points, 2)`` for each frame but the last; empty if the policy does not plan.
        snapshots: a planner's candidates and predictions, likewise.
    """

    policy: str
    scenario: int
    outcome: str
    collision_kind: str
    at_fault: bool
    hit_vehicle: int
    state: Float[np.ndarray, "frames 4"]
    human: Float[np.ndarray, "frames 4"]
    signals: dict[str, np.ndarray]
    others: NearbyVehicles
    plans: list[np.ndarray]
    snapshots: list[PlanSnapshot]

    @property
    def failed(self) -> bool:
        """Whether the episode counts against the policy."""
        return self.outcome not in SUCCESSES
