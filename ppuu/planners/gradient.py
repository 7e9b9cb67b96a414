"""Descent through a differentiable cost, from several starts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from .base import CostFunction, Plan, Planner, Search


@dataclass(frozen=True)
class GradientPlanner(Planner):
    """Adam, gradient descent or L-BFGS on the actions, clamped to their bounds.

    Every element of the batch and every start is a problem of its own; Adam's and descent's steps
    do not mix them (L-BFGS shares one step size, so it suits single environments).

    Attributes:
        optimizer: ``adam``, ``sgd`` or ``lbfgs``.
        iterations: evaluations of cost and gradient (of steps, for L-BFGS).
        rate: step size, in units of the bounds; it falls to a tenth along a cosine.
        clip: largest norm of one sequence's gradient.
    """

    optimizer: Literal["adam", "sgd", "lbfgs"] = "adam"
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
        if self.optimizer == "lbfgs":
            self._lbfgs(cost, actions, search)
        else:
            self._descend(cost, actions, search)
        with torch.no_grad():
            search.see(actions, cost(actions))
        return search.plan()

    def _descend(self, cost: CostFunction, actions: Tensor, search: Search) -> None:
        kind = torch.optim.Adam if self.optimizer == "adam" else torch.optim.SGD
        optimizer = kind([actions], lr=self.rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, self.iterations, eta_min=0.1 * self.rate
        )
        for _ in range(self.iterations):
            self._gradient(cost, actions, search)
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                actions.clamp_(-1.0, 1.0)
            if search.late:
                break

    def _lbfgs(self, cost: CostFunction, actions: Tensor, search: Search) -> None:
        optimizer = torch.optim.LBFGS(
            [actions], lr=1.0, max_iter=1, history_size=5, line_search_fn="strong_wolfe"
        )
        for _ in range(self.iterations):
            optimizer.step(lambda: self._gradient(cost, actions, search))
            with torch.no_grad():
                actions.clamp_(-1.0, 1.0)
            if search.late:
                break

    def _gradient(self, cost: CostFunction, actions: Tensor, search: Search) -> Tensor:
        """Costs, with their gradients left in ``actions``."""
        actions.grad = None
        with torch.enable_grad():
            costs = cost(actions)
            total = costs.sum()
        (gradient,) = torch.autograd.grad(total, actions)
        norm = gradient.flatten(2).norm(dim=2)[:, :, None, None]
        actions.grad = gradient * (self.clip / norm.clamp(min=self.clip))
        search.see(actions, costs)
        return total.detach()
