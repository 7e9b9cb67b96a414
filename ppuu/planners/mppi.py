"""Model-predictive path integral control (Williams et al., 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, replace_nonfinite
from .sampling import NoiseConfig, coloured_noise


@dataclass(frozen=True)
class MppiPlanner(Planner):
    """Moves the mean to the samples' average with weights softmax(-cost / temperature).

    Difference to the paper: its weights include a control cost, temperature times mean' Σ⁻¹ noise;
    here the cost function is the only cost.  Both agree for a mean of zero.

    Attributes:
        candidates: sampled in each iteration.
        iterations: number of iterations (1 as published).
        temperature: in units of the cost.
        noise: standard deviation and colour (0 as published).
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
        """The best sample or mean; each iteration starts from the previous mean."""
        search = Search(deadline_s)
        batch, _, horizon, actions = starts.shape
        shape = (self.candidates, horizon, actions)
        with torch.no_grad():
            costs = replace_nonfinite(cost(starts))
            search.update_best(starts, costs)
            row = torch.arange(batch, device=starts.device)
            mean = starts[row, costs.argmin(1)]
            for _ in range(self.iterations):
                noise = coloured_noise(shape, self.noise.colour, generator, starts)
                candidates = (mean[:, None] + self.noise.std * noise).clamp(-1.0, 1.0)
                costs = cost(candidates)
                search.record(candidates, costs)
                costs = replace_nonfinite(costs)
                weight = torch.softmax((costs.amin(1, True) - costs) / self.temperature, dim=1)
                mean = torch.einsum("bs,bsha->bha", weight, candidates)
                if search.timed_out:
                    break
            search.effective_candidates = 1.0 / weight.square().sum(1)
            search.update_best(mean[:, None], cost(mean[:, None]))
        return search.plan()
