"""One planner after the other: sample widely, then descend."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .base import CostFunction, Plan, Planner


@dataclass(frozen=True)
class Chain(Planner):
    """The second planner starts from what the first found, and from the given starts.

    Attributes:
        first: explores.
        second: refines.
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
        """The second's plan; its search begins with the first's, so it is never dearer."""
        began = time.monotonic()
        found = self.first.plan(cost, starts, generator, deadline_s)
        left = None if deadline_s is None else deadline_s - (time.monotonic() - began)
        return self.second.plan(
            cost, torch.cat([found.actions[:, None], starts], dim=1), generator, left
        )
