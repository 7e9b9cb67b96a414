"""Gradient descent on a differentiable cost, from several starts in parallel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, value_and_gradient


@dataclass(frozen=True)
class GradientPlanner(Planner):
    """Adam or gradient descent on the actions, clamped to their bounds.

    Every start of every element of the batch is an independent problem.

    Attributes:
        optimizer: ``adam`` or ``sgd``.
        iterations: steps; each evaluates a cost and a gradient.
        learning_rate: in units of the bounds, with cosine decay to a tenth.
        clip_norm: largest norm of the gradient of a sequence.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    iterations: int = 20
    learning_rate: float = 0.1
    clip_norm: float = 10.0

    def __post_init__(self):
        if self.iterations < 1 or not self.learning_rate > 0 or not self.clip_norm > 0:
            raise InputError(f"iterations, learning_rate and clip_norm must be positive: {self}")

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The best point of all trajectories; deterministic."""
        search = Search(deadline_s)
        actions = starts.detach().clone().requires_grad_()
        optimizer_type = torch.optim.Adam if self.optimizer == "adam" else torch.optim.SGD
        optimizer = optimizer_type([actions], lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, self.iterations, eta_min=0.1 * self.learning_rate
        )
        for _ in range(self.iterations):
            costs, gradient = value_and_gradient(cost, actions)
            search.record(actions, costs)
            norm = gradient.flatten(2).norm(dim=2)[:, :, None, None]
            actions.grad = gradient * (self.clip_norm / norm.clamp(min=self.clip_norm))
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                actions.clamp_(-1.0, 1.0)
            if search.timed_out:
                break
        with torch.no_grad():
            search.record(actions, cost(actions))
        return search.plan()
