"""Interface of planners: minimisation of a cost over action sequences.

Actions are in units of their bounds, so the search space is the box [-1, 1].
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
"""Costs of action sequences, differentiable for planners that use gradients."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Result of a planner.

    Attributes:
        actions: ``(batch, horizon, actions)`` the best sequence evaluated.
        cost: ``(batch,)`` its cost.
        cost_by_iteration: ``(iterations, batch)`` lowest cost of each iteration.
        cost_std_by_iteration: ``(iterations, batch)`` standard deviation over the candidates.
        effective_candidates: ``(batch,)`` effective sample size of the last weighted mean; the
            number of candidates for planners without weights.
        candidates: ``(batch, candidates, horizon, actions)`` of the last iteration with several.
        candidate_costs: ``(batch, candidates)``.
    """

    actions: Float[Tensor, "batch horizon actions"]
    cost: Float[Tensor, " batch"]
    cost_by_iteration: Float[Tensor, "iterations batch"]
    cost_std_by_iteration: Float[Tensor, "iterations batch"]
    effective_candidates: Float[Tensor, " batch"]
    candidates: Float[Tensor, "batch candidates horizon actions"]
    candidate_costs: Float[Tensor, "batch candidates"]


class Planner(ABC):
    """Minimises a cost over action sequences; deterministic given the generator."""

    @abstractmethod
    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """Returns the best sequence found.

        Args:
            cost: to be minimised.
            starts: initial action sequences, the best guess first; all are evaluated.
            generator: of all random numbers, which the elements of a batch share, so that the plan
                of one does not depend on the others.
            deadline_s: time limit in seconds, after which the best sequence so far is returned; the
                first iteration is always completed.
        """


@dataclass
class Search:
    """Best sequence so far and diagnostics of a running planner."""

    deadline_s: float | None = None
    best: Tensor | None = None
    best_cost: Tensor | None = None
    effective_candidates: Tensor | None = None
    last: tuple[Tensor, Tensor] | None = None
    costs: list[Tensor] = field(default_factory=list)
    cost_stds: list[Tensor] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    def record(
        self,
        candidates: Float[Tensor, "batch candidates horizon actions"],
        costs: Float[Tensor, "batch candidates"],
    ) -> None:
        """Records the candidates of an iteration and their costs."""
        self.last = candidates.detach(), costs.detach()
        self.update_best(candidates, costs)

    def update_best(
        self,
        candidates: Float[Tensor, "batch candidates horizon actions"],
        costs: Float[Tensor, "batch candidates"],
    ) -> None:
        """Records costs only, for a mean or another single candidate."""
        candidates, costs = candidates.detach(), costs.detach()
        cost, index = replace_nonfinite(costs).min(dim=1)
        row = torch.arange(len(index), device=index.device)
        sequence = candidates[row, index]
        if self.best is None or self.best_cost is None:
            self.best, self.best_cost = sequence, cost
        else:
            better = cost < self.best_cost
            self.best = torch.where(better[:, None, None], sequence, self.best)
            self.best_cost = torch.where(better, cost, self.best_cost)
        self.costs.append(cost)
        self.cost_stds.append(costs.std(dim=1, correction=0))

    @property
    def timed_out(self) -> bool:
        """Whether the time limit is exceeded."""
        return self.deadline_s is not None and time.monotonic() - self.started_s > self.deadline_s

    def plan(self) -> Plan:
        """The result."""
        assert self.best is not None
        assert self.best_cost is not None
        assert self.last is not None
        candidates, costs = self.last
        effective = self.effective_candidates
        if effective is None:
            effective = torch.full_like(self.best_cost, float(costs.shape[1]))
        return Plan(
            self.best,
            self.best_cost,
            torch.stack(self.costs),
            torch.stack(self.cost_stds),
            effective,
            candidates,
            costs,
        )


def replace_nonfinite(
    costs: Float[Tensor, "batch candidates"],
) -> Float[Tensor, "batch candidates"]:
    """Costs with NaN and infinities replaced by the largest number, so as never to be chosen."""
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
