"""Model-predictive path integral control (Williams et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, finite
from .sampling import NoiseConfig, coloured_noise


@dataclass(frozen=True)
class MppiPlanner(Planner):
    """Moves the mean to the samples' average, weighted by softmax(-cost / temperature).

    Departure: the published weights also hold a price on moving away from rest, temperature times
    mean' Σ⁻¹ noise; here a cost is what the cost function says.  From a mean at rest both agree.

    Attributes:
        candidates: drawn in each iteration.
        iterations: rounds; the classic form has one.
        temperature: in units of the cost, above the cheapest candidate.
        noise: deviation and colour (0 as published).
    """

    candidates: int = 256
    iterations: int = 4
    temperature: float = 0.1
    noise: NoiseConfig = NoiseConfig(0.3)

    def __post_init__(self):
        if self.candidates < 2 or self.iterations < 1 or not self.temperature > 0:
            raise InputError(
                f"MPPI: candidates, iterations and temperature must be positive: {self}"
            )

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The cheapest sample or mean; each round starts from the last one's mean."""
        search = Search(deadline_s)
        batch, _, horizon, actions = starts.shape
        shape = (self.candidates, horizon, actions)
        with torch.no_grad():
            costs = finite(cost(starts))
            search.look(starts, costs)
            row = torch.arange(batch, device=starts.device)
            mean = starts[row, costs.argmin(1)]
            for _ in range(self.iterations):
                noise = coloured_noise(shape, self.noise.colour, generator, starts)
                candidates = (mean[:, None] + self.noise.deviation * noise).clamp(-1.0, 1.0)
                costs = cost(candidates)
                search.see(candidates, costs)
                costs = finite(costs)
                weight = torch.softmax((costs.amin(1, True) - costs) / self.temperature, dim=1)
                mean = torch.einsum("bs,bsha->bha", weight, candidates)
                if search.late:
                    break
            search.effective_candidates = 1.0 / weight.square().sum(1)
            search.look(mean[:, None], cost(mean[:, None]))
        return search.plan()
