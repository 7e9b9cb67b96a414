"""The action sequences from which a planner begins."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..kinematics import ActionBounds
from ..perception.goal import Goal
from ..planners.base import CostFunction
from ..units import LANE_WIDTH_M

_SLOWEST_MPS = 4.0
_LARGEST_TURN = 0.8
"""Of a lane change, in units of the bound."""
_CHANGE_S = 3.0
"""Duration of a lane change."""
_APPROACHES_MPS2 = (-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0)
"""Accelerations that move the ego beside a gap further back, here, or further ahead."""


def initial_plans(
    plan: Float[Tensor, "batch steps 2"],
    ego: Float[Tensor, "batch 4"],
    bounds: ActionBounds,
    step_s: float,
) -> Float[Tensor, "batch 5 steps 2"]:
    """Initial plans: the previous plan, constant speed, lane change to the left, right, braking.

    At low speed the lane changes accelerate, since steering alone would have no effect.
    """
    steps = plan.shape[1]
    half = 0.5 * steps * step_s
    # Curvature +k, then -k, each for a time t, displaces the ego laterally by k v² t².
    speed = ego[:, 3].clamp(min=_SLOWEST_MPS)
    curvature = LANE_WIDTH_M / (speed * half).square() / bounds.curvature_radpm
    turn = torch.ones(steps, device=plan.device)
    turn[(steps + 1) // 2 :] = -1.0
    left = torch.zeros_like(plan)
    left[..., 0] = ((speed - ego[:, 3]) / half / bounds.acceleration_mps2)[:, None] * (turn > 0)
    left[..., 1] = curvature.clamp(max=_LARGEST_TURN)[:, None] * turn
    right = left * left.new_tensor([1.0, -1.0])
    brake = torch.zeros_like(plan)
    brake[..., 0] = -0.5
    return torch.stack([plan, torch.zeros_like(plan), left, right, brake], dim=1)


def goal_plans(
    goal: Goal, ego: Float[Tensor, "batch 4"], steps: int, bounds: ActionBounds, step_s: float
) -> Float[Tensor, "batch plans steps 2"]:
    """Plans that move the ego beside a gap of the next lane towards its goal, and then into it.

    Each approach (an acceleration for half a lane change) goes with a lane change at once, one, two
    or three seconds later, or not within the plan.
    """
    lateral = goal.place(ego[:, None, :2]).lateral_m[:, 0]
    shift = (-lateral).clamp(-LANE_WIDTH_M, LANE_WIDTH_M) * goal.wanted
    time = (torch.arange(steps, device=ego.device) + 0.5) * step_s
    plans = []
    for delay_s in (0.0, 1.0, 2.0, 3.0, steps * step_s):
        phase = (time - delay_s) / _CHANGE_S
        turn = torch.where(phase < 0.5, 1.0, -1.0) * ((phase > 0.0) & (phase < 1.0))
        for approach in _APPROACHES_MPS2:
            acceleration = approach * (time < _CHANGE_S / 2) * torch.ones_like(ego[:, :1])
            speed = ego[:, 3:] + (acceleration.cumsum(1) - 0.5 * acceleration) * step_s
            speed = speed.clamp(min=_SLOWEST_MPS)
            curvature = shift[:, None] / (speed * 0.5 * _CHANGE_S).square() * turn
            plans.append(torch.stack([acceleration, curvature], dim=-1))
    largest = bounds.largest(ego) * ego.new_tensor([1.0, _LARGEST_TURN])
    physical = torch.stack(plans, dim=1)
    return torch.minimum(torch.maximum(physical, -largest), largest) / bounds.largest(ego)


@torch.no_grad()
def cheapest(
    cost: CostFunction, plans: Float[Tensor, "batch all steps 2"], count: int
) -> Float[Tensor, "batch count steps 2"]:
    """The first plan, and the cheapest of the others."""
    order = cost(plans)[:, 1:].argsort(dim=1, stable=True)[:, : count - 1] + 1
    order = torch.cat([torch.zeros_like(order[:, :1]), order], dim=1)
    return plans.gather(1, order[..., None, None].expand(-1, -1, *plans.shape[2:]))
