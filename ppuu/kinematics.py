"""The ego's motion: a point with a heading, driven by acceleration and curvature.

The exact, differentiable part of the world (the successor of PPUU separates it from the learned
part: "Separating the World and Ego Models", 2204.07184).  State ``(x_m, y_m, heading_rad,
speed_mps)``, action ``(acceleration_mps2, curvature_radpm)``; ``action[t]`` leads from ``t`` to
``t + 1``.  Over one step the path is an arc of constant curvature, replaced by its chord at the
mid-step heading, so distances are exact to second order and the inverse is simple.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from .backends import kinematics_cpu
from .backends.dispatch import floating, paired
from .geometry import wrap_angle
from .runtime.errors import InputError

_CREEPING_M = 0.1
"""Over a shorter distance a turn says nothing about curvature."""


@dataclass(frozen=True)
class ActionBounds:
    """Largest actions that policies and planners choose.

    PPUU clipped I-80 at 6.17 m/s² and 0.065 1/m.  What the vehicle can do of an action is a matter
    of ``driving.vehicle_limits``.

    Attributes:
        acceleration_mps2: either way (braking is negative).
        curvature_radpm: either way; 0.065 is a turning circle of 15 m radius.
    """

    acceleration_mps2: float = 6.0
    curvature_radpm: float = 0.065

    def __post_init__(self):
        if not (self.acceleration_mps2 > 0 and self.curvature_radpm > 0):
            raise InputError(f"action bounds must be positive: {self}")

    def largest(self, like: Tensor) -> Float[Tensor, "2"]:
        """Both bounds as a tensor of ``like``'s type and device."""
        return like.new_tensor([self.acceleration_mps2, self.curvature_radpm])

    def clamp(self, action: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """The nearest action within the bounds."""
        largest = self.largest(action)
        return torch.minimum(torch.maximum(action, -largest), largest)


def step(
    state: Float[Tensor, "*batch 4"],
    action: Float[Tensor, "*batch 2"],
    dt_s: float | Float[Tensor, "*batch"],
) -> Float[Tensor, "*batch 4"]:
    """Advances states by one frame, or each by a time of its own.

    The speed never falls below zero.  The distance covered is the mean of old and new speed
    times ``dt_s``; the heading turns by curvature times distance, half before the move and half
    after it.
    """
    x, y, heading, speed = state.unbind(-1)
    acceleration, curvature = action.unbind(-1)
    new_speed = torch.clamp(speed + acceleration * dt_s, min=0.0)
    distance = 0.5 * (speed + new_speed) * dt_s
    turn = curvature * distance
    middle = heading + 0.5 * turn
    return torch.stack(
        [
            x + distance * torch.cos(middle),
            y + distance * torch.sin(middle),
            heading + turn,
            new_speed,
        ],
        dim=-1,
    )


def _rollout_compiled(
    state: Float[Tensor, "*batch 4"],
    actions: Float[Tensor, "*batch time 2"],
    dt_s: float,
    held: int = 1,
) -> Float[Tensor, "*batch time 4"]:
    return _Scan.apply(state, actions, dt_s, held)


@paired(
    _rollout_compiled, kinematics_cpu.rollout, kinematics_cpu.rollout_gradient,
    when=lambda state, actions, dt_s, held=1: floating(state, actions),
)  # fmt: skip
def rollout(
    state: Float[Tensor, "*batch 4"],
    actions: Float[Tensor, "*batch time 2"],
    dt_s: float,
    held: int = 1,
) -> Float[Tensor, "*batch time 4"]:
    """States after each action: ``states[t]`` follows ``actions[t]``.

    Repeated ``step``, values and gradients alike; planners, policies and the data all move the ego
    by it.  On a CPU it is one compiled scan (``kinematics_cpu``).

    Args:
        state: where it begins.
        actions: one after the other.
        dt_s: seconds a frame.
        held: frames for which each action is held.
    """
    states = []
    for action in actions.unbind(-2):
        for _ in range(held):
            state = step(state, action, dt_s)
        states.append(state)
    return torch.stack(states, dim=-2)


class _Scan(torch.autograd.Function):
    """The compiled scan over time and its gradient."""

    @staticmethod
    def forward(ctx, state, actions, dt_s, held):
        ctx.save_for_backward(state, actions)
        ctx.dt_s, ctx.held = dt_s, held
        states = actions.new_empty(*actions.shape[:-1], 4)
        rows, time = actions.shape[:-2].numel(), actions.shape[-2]
        kinematics_cpu.rollout(
            state.expand(*actions.shape[:-2], 4).reshape(rows, 4),
            actions.reshape(rows, time, 2),
            states.view(rows, time, 4),
            shared=(dt_s, held),
        )
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[override]
        state, actions = ctx.saved_tensors
        rows, time = actions.shape[:-2].numel(), actions.shape[-2]
        to_state = actions.new_empty(rows, 4)
        to_actions = actions.new_empty(rows, time, 2)
        kinematics_cpu.rollout_gradient(
            state.expand(*actions.shape[:-2], 4).reshape(rows, 4),
            actions.reshape(rows, time, 2),
            gradient.reshape(rows, time, 4),
            to_state,
            to_actions,
            shared=(ctx.dt_s, ctx.held),
        )
        to_state = to_state.view(*actions.shape[:-2], 4).sum_to_size(state.shape)
        return to_state, to_actions.view(actions.shape), None, None


def action_between(
    before: Float[Tensor, "*batch 4"], after: Float[Tensor, "*batch 4"], dt_s: float
) -> Float[Tensor, "*batch 2"]:
    """The action that leads from a state to the next, by the change of speed and of heading.

    The inverse of ``step``; positions are not used, and curvature fades below walking pace.
    """
    acceleration = (after[..., 3] - before[..., 3]) / dt_s
    distance = (0.5 * (before[..., 3] + after[..., 3]) * dt_s).clamp(min=_CREEPING_M)
    turn = wrap_angle(after[..., 2] - before[..., 2])
    return torch.stack([acceleration, turn / distance], dim=-1)


def infer_actions(
    positions_m: Float[Tensor, "*batch frames 2"],
    heading_rad: Float[Tensor, "*batch"],
    speed_mps: Float[Tensor, "*batch"],
    dt_s: float,
    acceleration_limit_mps2: float = math.inf,
    curvature_limit_radpm: float | Float[Tensor, "*batch"] = math.inf,
) -> tuple[Float[Tensor, "*batch steps 2"], Float[Tensor, "*batch frames 4"]]:
    """The actions that drive the kinematic ego along recorded positions: the inverse of ``step``.

    Each step aims at the next recorded position from where the *replayed* ego stands, so errors
    do not add up.  A chord of length ``d`` at angle ``b`` to the heading asks for the new speed
    ``2 d / dt - v`` and the turn ``2 b``; both oscillate on noisy tracks, so the step solves for
    the position one frame ahead with the speed damped towards ``d / dt``, and the next step
    removes what is left.  At a crawl, where the turn would be that of the positions' errors, the
    next position is taken to lie ``_CREEPING_M`` ahead, and the rest of the turn is made later.

    Args:
        positions_m: recorded centres.
        heading_rad, speed_mps: at the first position.
        acceleration_limit_mps2, curvature_limit_radpm: actions are clipped to it, either way.

    Returns:
        actions, and the replayed states (the first is the start).
    """
    start = torch.cat([positions_m[..., 0, :], heading_rad[..., None], speed_mps[..., None]], -1)
    sharpest = torch.as_tensor(curvature_limit_radpm).to(start)
    states, actions = [start], []
    for t in range(1, positions_m.shape[-2]):
        state = states[-1]
        x, y, heading, speed = state.unbind(-1)
        ahead = positions_m[..., t, 0] - x
        left = positions_m[..., t, 1] - y
        along = ahead * torch.cos(heading) + left * torch.sin(heading)
        across = left * torch.cos(heading) - ahead * torch.sin(heading)
        target_speed = (along / dt_s).clamp(min=0.0)
        acceleration = ((target_speed - speed) / dt_s).clamp(
            -acceleration_limit_mps2, acceleration_limit_mps2
        )
        new_speed = torch.clamp(speed + acceleration * dt_s, min=0.0)
        distance = 0.5 * (speed + new_speed) * dt_s
        bearing = torch.atan2(across, along.clamp(min=_CREEPING_M))
        curvature = bearing * distance / distance.clamp(min=_CREEPING_M) ** 2
        curvature = torch.minimum(torch.maximum(curvature, -sharpest), sharpest)
        action = torch.stack([acceleration, curvature], dim=-1)
        actions.append(action)
        states.append(step(state, action, dt_s))
    return torch.stack(actions, dim=-2), torch.stack(states, dim=-2)
