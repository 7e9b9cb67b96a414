"""Batched L-BFGS on a box, with parallel line searches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, value_and_gradient

_STEPS = (2.0, 1.0, 0.5, 0.25, 0.1, 0.02)
"""Step sizes of the line search, evaluated in parallel; the best is taken."""


@dataclass(frozen=True)
class LbfgsPlanner(Planner):
    """Two-loop recursion (Nocedal and Wright, 2006, algorithm 7.4), clamped to the bounds.

    ``torch.optim.LBFGS`` solves one problem, with one step size and curvature for the whole batch.
    Here every start has its own, so that a plan does not depend on the rest of the batch.

    Attributes:
        iterations: search directions; each evaluates a gradient and ``len(_STEPS)`` costs.
        memory: stored pairs of steps and gradient changes.
        initial_step: largest change of an action by the first direction.
    """

    iterations: int = 10
    memory: int = 5
    initial_step: float = 0.3

    def __post_init__(self):
        if min(self.iterations, self.memory) < 1 or not self.initial_step > 0:
            raise InputError(
                f"L-BFGS: iterations, memory and initial_step must be positive: {self}"
            )

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The best point of all trajectories; deterministic."""
        search = Search(deadline_s)
        actions, pairs, previous = starts.detach(), [], None
        for _ in range(self.iterations):
            costs, gradient = value_and_gradient(cost, actions)
            search.record(actions, costs)
            if previous is not None:
                step, change = actions - previous[0], gradient - previous[1]
                pairs = [*pairs, (step, change, _dot(step, change))][-self.memory :]
            previous = actions, gradient
            actions = self._line_search(cost, actions, self._direction(gradient, pairs), costs)
            if search.timed_out:
                break
        with torch.no_grad():
            search.record(actions, cost(actions))
        return search.plan()

    def _direction(
        self, gradient: Float[Tensor, "batch starts horizon actions"], pairs: list
    ) -> Float[Tensor, "batch starts horizon actions"]:
        """The negative gradient times the approximate inverse Hessian.

        Pairs without positive curvature are skipped, separately for each problem.
        """
        direction, applied = -gradient, []
        scale = self.initial_step / gradient.abs().amax((2, 3)).clamp(min=1e-12)
        for step, change, curvature in reversed(pairs):
            usable = curvature > 1e-10
            inverse = torch.where(usable, 1.0 / curvature.clamp(min=1e-10), 0.0)
            alpha = inverse * _dot(step, direction)
            direction = direction - alpha[..., None, None] * change
            applied.append((step, change, inverse, alpha))
        if pairs:
            _, change, curvature = pairs[-1]
            newton_scale = curvature / _dot(change, change).clamp(min=1e-12)
            scale = torch.where(curvature > 1e-10, newton_scale, scale)
        direction = scale[..., None, None] * direction
        for step, change, inverse, alpha in reversed(applied):
            beta = inverse * _dot(change, direction)
            direction = direction + (alpha - beta)[..., None, None] * step
        return direction

    def _line_search(
        self,
        cost: CostFunction,
        actions: Float[Tensor, "batch starts horizon actions"],
        direction: Float[Tensor, "batch starts horizon actions"],
        costs: Float[Tensor, "batch starts"],
    ) -> Float[Tensor, "batch starts horizon actions"]:
        """The best of several step sizes; the unchanged actions where none improves."""
        sizes = actions.new_tensor(_STEPS)[:, None, None]
        trials = (actions[:, :, None] + sizes * direction[:, :, None]).clamp(-1.0, 1.0)
        with torch.no_grad():
            trial_costs = cost(trials.flatten(1, 2)).unflatten(1, trials.shape[1:3])
        lowest, index = trial_costs.min(dim=2)
        best = trials.take_along_dim(index[:, :, None, None, None], dim=2)[:, :, 0]
        return torch.where((lowest < costs)[..., None, None], best, actions)


def _dot(
    one: Float[Tensor, "batch starts horizon actions"],
    other: Float[Tensor, "batch starts horizon actions"],
) -> Float[Tensor, "batch starts"]:
    return (one * other).sum((2, 3))
