"""What a step of the simulator returns."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class StepResult:
    """Where every episode stands after a step; a finished one keeps its last values.

    Attributes:
        moved: ``(envs,)`` whether the step moved this episode (False: it had ended before).
        done: ``(envs,)`` whether the episode has ended.
        outcome: ``(envs,)`` ``Outcome``.
        collision_kind: ``(envs,)`` ``CollisionKind``.
        at_fault: ``(envs,)`` False if the ego was struck from behind.
        hit_vehicle: ``(envs,)`` scene's number of the vehicle hit, -1 for none.
        state: ``(envs, 4)`` x_m, y_m, heading_rad, speed_mps.
        action: ``(envs, 2)`` after clamping, acceleration_mps2 and curvature_radpm.
        frame: ``(envs,)`` scene frame.
        steps: ``(envs,)`` steps driven.
        distance_m: ``(envs,)`` path driven.
        progress_m: ``(envs,)`` furthest station along the route so far, at most that of its end.
        clearance_m: ``(envs,)`` to the nearest vehicle, negative by the penetration.
        time_to_collision_s: ``(envs,)`` if all kept velocity and heading, inf if never.
    """

    moved: Bool[Tensor, " envs"]
    done: Bool[Tensor, " envs"]
    outcome: Int[Tensor, " envs"]
    collision_kind: Int[Tensor, " envs"]
    at_fault: Bool[Tensor, " envs"]
    hit_vehicle: Int[Tensor, " envs"]
    state: Float[Tensor, "envs 4"]
    action: Float[Tensor, "envs 2"]
    frame: Int[Tensor, " envs"]
    steps: Int[Tensor, " envs"]
    distance_m: Float[Tensor, " envs"]
    progress_m: Float[Tensor, " envs"]
    clearance_m: Float[Tensor, " envs"]
    time_to_collision_s: Float[Tensor, " envs"]
