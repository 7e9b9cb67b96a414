"""The cross-entropy method (Rubinstein, 1999) and its sample-efficient form (iCEM)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, replace_nonfinite
from .sampling import NoiseConfig, coloured_noise


@dataclass(frozen=True)
class CemPlanner(Planner):
    """Fits mean and standard std to the elites of Gaussian samples.

    With coloured noise, reused elites and a decaying population this is iCEM (Pinneri et al.,
    2020); with white noise, ``reused_elites`` 0 and ``population_decay`` 1 it is plain CEM.

    Attributes:
        candidates: sampled in the first iteration.
        iterations: number of iterations.
        elites: number of elites.
        reused_elites: fraction of the elites added to the next iteration's candidates.
        population_decay: factor of the number of candidates from one iteration to the next.
        momentum: weight of the previous mean and standard std.
        noise: initial standard std and colour.
        min_std: lower bound of the standard std.
    """

    candidates: int = 256
    iterations: int = 6
    elites: int = 24
    reused_elites: float = 0.3
    population_decay: float = 0.85
    momentum: float = 0.1
    noise: NoiseConfig = NoiseConfig()
    min_std: float = 1e-3

    def __post_init__(self):
        if not 2 <= self.elites <= self.candidates or self.iterations < 1:
            raise InputError(
                f"CEM: elites must be from 2 to candidates, iterations at least 1: {self}"
            )
        if not (
            0 <= self.reused_elites <= 1
            and 0 < self.population_decay <= 1
            and 0 <= self.momentum < 1
        ):
            raise InputError(
                f"CEM: reused_elites, population_decay and momentum are fractions: {self}"
            )
        if not self.min_std >= 0:
            raise InputError(f"CEM: min_std must not be negative: {self}")

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The best sample or mean of all iterations."""
        search = Search(deadline_s)
        horizon, actions = starts.shape[2:]
        mean = starts[:, 0]
        std = torch.full_like(mean, self.noise.std)
        reused, count = starts, self.candidates
        for _ in range(self.iterations):
            shape = (count, horizon, actions)
            noise = coloured_noise(shape, self.noise.colour, generator, starts)
            samples = (mean[:, None] + std[:, None] * noise).clamp(-1.0, 1.0)
            candidates = torch.cat([mean[:, None], reused, samples], dim=1)
            with torch.no_grad():
                costs = cost(candidates)
            search.record(candidates, costs)
            costs = replace_nonfinite(costs)
            indices = costs.topk(min(self.elites, costs.shape[1]), dim=1, largest=False).indices
            elite = candidates.gather(1, indices[..., None, None].expand(-1, -1, horizon, actions))
            momentum = self.momentum
            mean = momentum * mean + (1 - momentum) * elite.mean(1)
            std = momentum * std + (1 - momentum) * elite.std(1, correction=0)
            std = std.clamp(min=self.min_std)
            reused = elite[:, : round(self.reused_elites * self.elites)]
            count = max(self.elites, round(self.population_decay * count))
            if search.timed_out:
                break
        with torch.no_grad():
            search.update_best(mean[:, None], cost(mean[:, None]))
        return search.plan()
