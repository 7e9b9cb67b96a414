"""Descent through a differentiable cost, from several starts at once."""

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

    Every element of the batch and every start is a problem of its own.

    Attributes:
        optimizer: ``adam`` or ``sgd``.
        iterations: steps; each takes a cost and a gradient.
        rate: step size, in units of the bounds; it falls to a tenth along a cosine.
        clip: largest norm of one sequence's gradient.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    iterations: int = 20
    rate: float = 0.1
    clip: float = 10.0

    def __post_init__(self):
        if self.iterations < 1 or not self.rate > 0 or not self.clip > 0:
            raise InputError(f"iterations, rate and clip must be positive: {self}")

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The cheapest point of all descents; nothing is random."""
        search = Search(deadline_s)
        actions = starts.detach().clone().requires_grad_()
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.SGD
        optimizer = kind([actions], lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, self.iterations, eta_min=0.1 * self.rate
        )
        for _ in range(self.iterations):
            costs, gradient = value_and_gradient(cost, actions)
            search.see(actions, costs)
            norm = gradient.flatten(2).norm(dim=2)[:, :, None, None]
            actions.grad = gradient * (self.clip / norm.clamp(min=self.clip))
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                actions.clamp_(-1.0, 1.0)
            if search.late:
                break
        with torch.no_grad():
            search.see(actions, cost(actions))
        return search.plan()
