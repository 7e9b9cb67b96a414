"""L-BFGS on a box, every sequence a problem of its own, all line searches in one evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, value_and_gradient

_STEPS = (2.0, 1.0, 0.5, 0.25, 0.1, 0.02)
"""Step sizes tried along the direction, side by side; the cheapest is taken."""


@dataclass(frozen=True)
class LbfgsPlanner(Planner):
    """Two-loop recursion (Nocedal and Wright, 2006, algorithm 7.4), clamped to the bounds.

    ``torch.optim.LBFGS`` sees one problem: a single step size and curvature for the whole batch.
    Here each has its own, so that a plan does not depend on who else is in the batch.

    Attributes:
        iterations: directions; each takes a gradient and ``len(_STEPS)`` costs.
        memory: pairs of steps and changes of the gradient that are remembered.
        first_step: largest change of an action by the first direction.
    """

    iterations: int = 10
    memory: int = 5
    first_step: float = 0.3

    def __post_init__(self):
        if min(self.iterations, self.memory) < 1 or not self.first_step > 0:
            raise InputError(f"L-BFGS: iterations, memory and first_step must be positive: {self}")

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The cheapest point of all descents; nothing is random."""
        search = Search(deadline_s)
        actions, pairs, before = starts.detach(), [], None
        for _ in range(self.iterations):
            costs, gradient = value_and_gradient(cost, actions)
            search.see(actions, costs)
            if before is not None:
                step, change = actions - before[0], gradient - before[1]
                pairs = [*pairs, (step, change, _dot(step, change))][-self.memory :]
            before = actions, gradient
            actions = self._searched(cost, actions, self._direction(gradient, pairs), costs)
            if search.late:
                break
        with torch.no_grad():
            search.see(actions, cost(actions))
        return search.plan()

    def _direction(
        self, gradient: Float[Tensor, "batch starts horizon actions"], pairs: list
    ) -> Float[Tensor, "batch starts horizon actions"]:
        """Minus the gradient times the inverse Hessian as the pairs tell it.

        Pairs without positive curvature are passed over, each problem's for itself.
        """
        direction, kept = -gradient, []
        scale = self.first_step / gradient.abs().amax((2, 3)).clamp(min=1e-12)
        for step, change, curvature in reversed(pairs):
            usable = curvature > 1e-10
            inverse = torch.where(usable, 1.0 / curvature.clamp(min=1e-10), 0.0)
            alpha = inverse * _dot(step, direction)
            direction = direction - alpha[..., None, None] * change
            kept.append((step, change, inverse, alpha))
        if pairs:
            _, change, curvature = pairs[-1]
            found = curvature / _dot(change, change).clamp(min=1e-12)
            scale = torch.where(curvature > 1e-10, found, scale)
        direction = scale[..., None, None] * direction
        for step, change, inverse, alpha in reversed(kept):
            beta = inverse * _dot(change, direction)
            direction = direction + (alpha - beta)[..., None, None] * step
        return direction

    def _searched(
        self,
        cost: CostFunction,
        actions: Float[Tensor, "batch starts horizon actions"],
        direction: Float[Tensor, "batch starts horizon actions"],
        costs: Float[Tensor, "batch starts"],
    ) -> Float[Tensor, "batch starts horizon actions"]:
        """The cheapest of several steps; where none pays, nothing moves."""
        sizes = actions.new_tensor(_STEPS)[:, None, None]
        tried = (actions[:, :, None] + sizes * direction[:, :, None]).clamp(-1.0, 1.0)
        with torch.no_grad():
            found = cost(tried.flatten(1, 2)).unflatten(1, tried.shape[1:3])
        cheapest, which = found.min(dim=2)
        chosen = tried.take_along_dim(which[:, :, None, None, None], dim=2)[:, :, 0]
        return torch.where((cheapest < costs)[..., None, None], chosen, actions)


def _dot(
    one: Float[Tensor, "batch starts horizon actions"],
    other: Float[Tensor, "batch starts horizon actions"],
) -> Float[Tensor, "batch starts"]:
    return (one * other).sum((2, 3))
