"""The cross-entropy method (Rubinstein, 1999) and its sample-efficient form (iCEM)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search, finite
from .sampling import NoiseConfig, coloured_noise


@dataclass(frozen=True)
class CemPlanner(Planner):
    """Samples around a mean, keeps the elite, moves mean and deviation to theirs.

    With coloured noise, kept elites and a shrinking population this is iCEM (Pinneri et al.,
    2020); with white noise, ``kept`` 0 and ``shrink`` 1 it is plain CEM.

    Attributes:
        candidates: drawn in the first iteration.
        iterations: rounds.
        elites: how many are kept as the elite.
        kept: share of the elite that competes again in the next round.
        shrink: candidates of a round, as a share of the last one's.
        momentum: how much of the old mean and deviation stays.
        noise: first deviation and colour.
        smallest_deviation: below which it does not shrink.
    """

    candidates: int = 256
    iterations: int = 6
    elites: int = 24
    kept: float = 0.3
    shrink: float = 0.85
    momentum: float = 0.1
    noise: NoiseConfig = NoiseConfig()
    smallest_deviation: float = 1e-3

    def __post_init__(self):
        if not 2 <= self.elites <= self.candidates or self.iterations < 1:
            raise InputError(f"CEM: from 2 to candidates elites, at least 1 iteration: {self}")
        if not (0 <= self.kept <= 1 and 0 < self.shrink <= 1 and 0 <= self.momentum < 1):
            raise InputError(f"CEM: kept, shrink and momentum are shares: {self}")
        if not self.smallest_deviation >= 0:
            raise InputError(f"CEM: smallest_deviation must not be negative: {self}")

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """The cheapest sample or mean of all rounds."""
        search = Search(deadline_s)
        horizon, actions = starts.shape[2:]
        mean = starts[:, 0]
        deviation = torch.full_like(mean, self.noise.deviation)
        carried, count = starts, self.candidates
        for _ in range(self.iterations):
            shape = (count, horizon, actions)
            noise = coloured_noise(shape, self.noise.colour, generator, starts)
            fresh = (mean[:, None] + deviation[:, None] * noise).clamp(-1.0, 1.0)
            candidates = torch.cat([mean[:, None], carried, fresh], dim=1)
            with torch.no_grad():
                costs = cost(candidates)
            search.see(candidates, costs)
            costs = finite(costs)
            best = costs.topk(min(self.elites, costs.shape[1]), dim=1, largest=False).indices
            elite = candidates.gather(1, best[..., None, None].expand(-1, -1, horizon, actions))
            stay = self.momentum
            mean = stay * mean + (1 - stay) * elite.mean(1)
            deviation = stay * deviation + (1 - stay) * elite.std(1, correction=0)
            deviation = deviation.clamp(min=self.smallest_deviation)
            carried = elite[:, : round(self.kept * self.elites)]
            count = max(self.elites, round(self.shrink * count))
            if search.late:
                break
        with torch.no_grad():
            search.look(mean[:, None], cost(mean[:, None]))
        return search.plan()
