"""The ego's motion as a vehicle: ``ppuu.kinematics`` under its limits.

Simulator, planners and policies move the ego by ``motion``; ``drive`` repeats it over a sequence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..backends import motion_cpu
from ..backends.dispatch import floating, paired
from ..kinematics import step
from .vehicle_limits import VehicleLimits


def motion(
    state: Float[Tensor, "*batch 4"],
    action: Float[Tensor, "*batch 2"],
    previous_action: Float[Tensor, "*batch 2"],
    limits: VehicleLimits,
    dt_s: float,
) -> tuple[Float[Tensor, "*batch 4"], Float[Tensor, "*batch 2"]]:
    """The state one frame later, and the action done instead of the one asked for.

    Args:
        state: x_m, y_m, heading_rad, speed_mps.
        action: asked for.
        previous_action: done in the frame before.
        limits: of the vehicles.
        dt_s: seconds a frame.
    """
    action = limits.project(action, previous_action, state[..., 3], dt_s)
    return step(state, action, dt_s), action


class Drive(NamedTuple):
    """What becomes of a sequence of actions.

    Attributes:
        states: after each action.
        actions: done: the mean over the frames for which an action is held.
        last_action: done in the last frame.
    """

    states: Float[Tensor, "*batch time 4"]
    actions: Float[Tensor, "*batch time 2"]
    last_action: Float[Tensor, "*batch 2"]


def _drive_compiled(
    state: Float[Tensor, "*batch 4"],
    actions: Float[Tensor, "*batch time 2"],
    previous_action: Float[Tensor, "*#batch 2"],
    limits: VehicleLimits,
    dt_s: float,
    held: int = 1,
) -> Drive:
    return Drive(*_Scan.apply(state, actions, previous_action, limits.values, dt_s, held))


@paired(
    _drive_compiled, motion_cpu.drive, motion_cpu.drive_gradient,
    when=lambda state, actions, previous_action, limits, dt_s, held=1: floating(
        state, actions, previous_action, limits.values
    ),
)  # fmt: skip
def drive(
    state: Float[Tensor, "*batch 4"],
    actions: Float[Tensor, "*batch time 2"],
    previous_action: Float[Tensor, "*#batch 2"],
    limits: VehicleLimits,
    dt_s: float,
    held: int = 1,
) -> Drive:
    """Repeated ``motion``, values and gradients alike.

    On a CPU it is one compiled scan (``motion_cpu``).

    Args:
        state: where it begins.
        actions: asked for, one after the other.
        previous_action: done in the frame before.
        limits: of the vehicles; constants.
        dt_s: seconds a frame.
        held: frames for which each action is held.
    """
    previous = previous_action.expand(*actions.shape[:-2], 2)
    states, done = [], []
    for action in actions.unbind(-2):
        total = torch.zeros_like(action)
        for _ in range(held):
            state, previous = motion(state, action, previous, limits, dt_s)
            total = total + previous
        states.append(state)
        done.append(total / held)
    return Drive(torch.stack(states, dim=-2), torch.stack(done, dim=-2), previous)


class _Scan(torch.autograd.Function):
    """The compiled scan over time and its gradient."""

    @staticmethod
    def forward(ctx, state, actions, previous_action, limits, dt_s, held):
        ctx.save_for_backward(state, actions, previous_action, limits)
        ctx.dt_s, ctx.held = dt_s, held
        states = actions.new_empty(*actions.shape[:-1], 4)
        done = torch.empty_like(actions, memory_format=torch.contiguous_format)
        last = actions.new_empty(*actions.shape[:-2], 2)
        rows, time = actions.shape[:-2].numel(), actions.shape[-2]
        motion_cpu.drive(
            *_flat(state, actions, previous_action, limits),
            states.view(rows, time, 4),
            done.view(rows, time, 2),
            last.view(rows, 2),
            shared=(dt_s, held),
        )
        return states, done, last

    @staticmethod
    @once_differentiable
    def backward(ctx, to_states, to_done, to_last):  # type: ignore[override]
        state, actions, previous_action, limits = ctx.saved_tensors
        batch, time = actions.shape[:-2], actions.shape[-2]
        rows = batch.numel()
        to_state, to_previous = actions.new_empty(rows, 4), actions.new_empty(rows, 2)
        to_actions = actions.new_empty(rows, time, 2)
        motion_cpu.drive_gradient(
            *_flat(state, actions, previous_action, limits),
            to_states.reshape(rows, time, 4),
            to_done.reshape(rows, time, 2),
            to_last.reshape(rows, 2),
            to_state,
            to_actions,
            to_previous,
            shared=(ctx.dt_s, ctx.held),
        )
        return (
            to_state.view(*batch, 4).sum_to_size(state.shape),
            to_actions.view(actions.shape),
            to_previous.view(*batch, 2).sum_to_size(previous_action.shape),
            None, None, None,
        )  # fmt: skip


def _flat(
    state: Tensor, actions: Tensor, previous_action: Tensor, limits: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One row for each sequence."""
    batch, time = actions.shape[:-2], actions.shape[-2]
    rows = batch.numel()
    return (
        state.expand(*batch, 4).reshape(rows, 4),
        actions.reshape(rows, time, 2),
        previous_action.expand(*batch, 2).reshape(rows, 2),
        limits.expand(*batch, -1).reshape(rows, limits.shape[-1]),
    )
