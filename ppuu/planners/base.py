"""What a planner is: it lowers a cost of action sequences and knows nothing else.

Actions are in units of their bounds, so every planner searches the box [-1, 1].
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

CostFunction = Callable[
    [Float[Tensor, "batch candidates horizon actions"]], Float[Tensor, "batch candidates"]
]
"""Costs of action sequences, differentiable for planners that ask for gradients."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What a planner found.

    Attributes:
        actions: ``(batch, horizon, actions)`` the cheapest sequence seen.
        cost: ``(batch,)`` what it costs.
        cost_by_iteration: ``(iterations, batch)`` cheapest of each iteration.
        spread_by_iteration: ``(iterations, batch)`` deviation of the costs over the candidates.
        effective_candidates: ``(batch,)`` how many candidates the last mean rests on, for planners
            that weigh them; the number of candidates for others.
        candidates: ``(batch, candidates, horizon, actions)`` those of the last iteration that had
            several.
        candidate_costs: ``(batch, candidates)``.
    """

    actions: Float[Tensor, "batch horizon actions"]
    cost: Float[Tensor, " batch"]
    cost_by_iteration: Float[Tensor, "iterations batch"]
    spread_by_iteration: Float[Tensor, "iterations batch"]
    effective_candidates: Float[Tensor, " batch"]
    candidates: Float[Tensor, "batch candidates horizon actions"]
    candidate_costs: Float[Tensor, "batch candidates"]


class Planner(ABC):
    """Searches action sequences; deterministic given the generator."""

    @abstractmethod
    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The cheapest sequence found.

        Args:
            cost: what to lower.
            starts: where to begin, the most trusted first; all of them are tried.
            generator: of all randomness; the elements of a batch share the draws, so that the plan
                for one does not depend on the others.
            deadline_s: seconds after which the best found so far is returned; the first iteration
                is always finished.
        """


@dataclass
class Search:
    """The best so far and the diagnostics, kept while a planner iterates."""

    deadline_s: float | None = None
    best: Tensor | None = None
    best_cost: Tensor | None = None
    effective_candidates: Tensor | None = None
    shown: tuple[Tensor, Tensor] | None = None
    costs: list[Tensor] = field(default_factory=list)
    spreads: list[Tensor] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def see(
        self,
        candidates: Float[Tensor, "batch candidates horizon actions"],
        costs: Float[Tensor, "batch candidates"],
    ) -> None:
        """Takes down an iteration's candidates and their costs."""
        self.shown = candidates.detach(), costs.detach()
        self.look(candidates, costs)

    def look(
        self,
        candidates: Float[Tensor, "batch candidates horizon actions"],
        costs: Float[Tensor, "batch candidates"],
    ) -> None:
        """The same for a mean or another single candidate, which is no picture of the search."""
        candidates, costs = candidates.detach(), costs.detach()
        cost, which = finite(costs).min(dim=1)
        row = torch.arange(len(which), device=which.device)
        found = candidates[row, which]
        if self.best is None or self.best_cost is None:
            self.best, self.best_cost = found, cost
        else:
            better = cost < self.best_cost
            self.best = torch.where(better[:, None, None], found, self.best)
            self.best_cost = torch.where(better, cost, self.best_cost)
        self.costs.append(cost)
        self.spreads.append(costs.std(dim=1, correction=0))

    @property
    def late(self) -> bool:
        """Whether the time budget is used up."""
        return self.deadline_s is not None and time.monotonic() - self.began_s > self.deadline_s

    def plan(self) -> Plan:
        """The result."""
        assert self.best is not None
        assert self.best_cost is not None
        assert self.shown is not None
        candidates, costs = self.shown
        effective = self.effective_candidates
        if effective is None:
            effective = torch.full_like(self.best_cost, float(costs.shape[1]))
        return Plan(
            self.best,
            self.best_cost,
            torch.stack(self.costs),
            torch.stack(self.spreads),
            effective,
            candidates,
            costs,
        )


def finite(costs: Float[Tensor, "batch candidates"]) -> Float[Tensor, "batch candidates"]:
    """Costs of which those that are no number are the largest there can be: never chosen."""
    largest = torch.finfo(costs.dtype).max
    return costs.nan_to_num(nan=largest, posinf=largest, neginf=largest)


def value_and_gradient(
    cost: CostFunction, actions: Float[Tensor, "batch candidates horizon actions"]
) -> tuple[Float[Tensor, "batch candidates"], Float[Tensor, "batch candidates horizon actions"]]:
    """Costs and their gradients, both detached."""
    actions = actions.detach().requires_grad_()
    with torch.enable_grad():
        costs = cost(actions)
        total = costs.sum()
    (gradient,) = torch.autograd.grad(total, actions)
    return costs.detach(), gradient
