"""Two planners in sequence, such as sampling followed by gradient descent."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .base import CostFunction, Plan, Planner


@dataclass(frozen=True)
class Chain(Planner):
    """The second planner starts from the first one's plan and from the given starts.

    Attributes:
        first: global search.
        second: refinement.
    """

    first: Planner
    second: Planner

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The second planner's plan, never more expensive than the first one's."""
        started = time.monotonic()
        plan = self.first.plan(cost, starts, generator, deadline_s)
        remaining_s = None if deadline_s is None else deadline_s - (time.monotonic() - started)
        return self.second.plan(
            cost, torch.cat([plan.actions[:, None], starts], dim=1), generator, remaining_s
        )
