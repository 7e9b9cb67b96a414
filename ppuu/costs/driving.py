"""The driving cost of policies, planners, rewards, metrics and plots: a weighted sum of terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictions import EgoMask, EgoPath, Rollout
from .base import MassTerm, PathTerm, RoadTerm, Term, VehicleTerm
from .terms import TERMS

DrivingCostConfig: Any = make_dataclass(
    "DrivingCostConfig",
    [(name, term, field(default_factory=term)) for name, term in TERMS.items()],
    frozen=True,
    namespace={
        "__doc__": "Terms of the driving cost with their weights, by the name of their file in "
        "``terms``.  The weights were chosen on tuning traffic.",
        "__module__": __name__,
    },
)
"""One field for each term, named after its file."""


@dataclass(frozen=True, eq=False)
class Costs:
    """Costs of a rollout; sums and means are computed on demand.

    Attributes:
        vehicle_terms: unweighted terms of other vehicles for each sample, by name.
        other_terms: the other unweighted terms, by name.
        weights: of all terms, by name.
    """

    vehicle_terms: dict[str, Float[Tensor, "batch candidates samples time"]]
    other_terms: dict[str, Float[Tensor, "batch candidates time"]]
    weights: dict[str, float]

    @cached_property
    def terms(self) -> dict[str, Float[Tensor, "batch candidates time"]]:
        """Unweighted terms by name, averaged over the samples."""
        costs = self.other_terms | {name: _mean(cost) for name, cost in self.vehicle_terms.items()}
        return {name: costs[name] for name in self.weights}

    @cached_property
    def vehicle_cost(self) -> Float[Tensor, "batch candidates samples time"]:
        """Weighted sum of the terms of other vehicles, for each sample."""
        return self._sum(self.vehicle_terms)

    @cached_property
    def other_cost(self) -> Float[Tensor, "batch candidates time"]:
        """Weighted sum of the other terms."""
        return self._sum(self.other_terms)

    def _sum(self, costs: dict[str, Tensor]) -> Tensor:
        (first, cost), *others = costs.items()
        total = self.weights[first] * cost
        for name, cost in others:
            total = torch.add(total, cost, alpha=self.weights[name])
        return total

    @property
    def total(self) -> Float[Tensor, "batch candidates time"]:
        """Weighted sum of all terms, averaged over the samples."""
        return self.other_cost + _mean(self.vehicle_cost)


@dataclass(frozen=True)
class DrivingCost:
    """Terms by name and their weighted sum."""

    config: Any = field(default_factory=DrivingCostConfig)

    def terms(self) -> dict[str, Term]:
        """The terms by name."""
        return {name: getattr(self.config, name) for name in TERMS}

    def evaluate(self, rollout: Rollout) -> Costs:
        """All terms, with one pass over the vehicles and one over the road."""
        terms, road = self.terms(), self.road_costs(rollout)
        others = {name: _mean(cost) for name, cost in road.items()}
        others |= {k: term.cost(rollout) for k, term in terms.items() if isinstance(term, PathTerm)}
        weights = {name: term.weight for name, term in terms.items()}
        return Costs(self.vehicle_costs(rollout), others, weights)

    def vehicle_costs(
        self, rollout: Rollout
    ) -> dict[str, Float[Tensor, "batch candidates samples time"]]:
        """Unweighted terms of the vehicles, for each sample."""
        terms = {k: term for k, term in self.terms().items() if isinstance(term, VehicleTerm)}
        ego = rollout.ego
        masses = rollout.prediction.vehicle_mass(_stack_masks(terms, ego), ego)
        return _term_costs(terms, masses, ego)

    def road_costs(
        self, rollout: Rollout
    ) -> dict[str, Float[Tensor, "batch candidates roads time"]]:
        """Unweighted terms of the road, for each sample if these differ."""
        terms = {k: term for k, term in self.terms().items() if isinstance(term, RoadTerm)}
        ego, channels = rollout.ego, [term.channel for term in terms.values()]
        masses = rollout.prediction.road_mass(_stack_masks(terms, ego), ego, *channels)
        return _term_costs(terms, masses, ego)


def _stack_masks(terms: Mapping[str, MassTerm], ego: EgoPath) -> EgoMask:
    """The masks of all terms, in order."""
    return EgoMask.stack([term.mask(ego) for term in terms.values()])


def _term_costs(
    terms: Mapping[str, MassTerm],
    masses: Float[Tensor, "batch candidates samples time terms"],
    ego: EgoPath,
) -> dict[str, Float[Tensor, "batch candidates samples time"]]:
    """The cost of the mass under each term's mask, by name."""
    return {
        name: term.cost(mass, ego)
        for (name, term), mass in zip(terms.items(), masses.unbind(-1), strict=True)
    }


def _mean(
    cost: Float[Tensor, "batch candidates samples time"],
) -> Float[Tensor, "batch candidates time"]:
    """Mean over the samples; a view for a single sample."""
    return cost.squeeze(2) if cost.shape[2] == 1 else cost.mean(2)
