"""The one weighted sum of costs that policies, planners, rewards, metrics and plots share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictions import EgoMask, EgoPath, Rollout
from .base import PathTerm, RoadTerm, Term, VehicleTerm
from .terms import TERMS

DrivingCostConfig: Any = make_dataclass(
    "DrivingCostConfig",
    [(name, term, field(default_factory=term)) for name, term in TERMS.items()],
    frozen=True,
    namespace={
        "__doc__": "Terms of the driving cost, each with its weight; those of the package "
        "``terms``, by name.  The weights were chosen on tuning traffic.",
        "__module__": __name__,
    },
)
"""One field a term, named as the term's file."""


@dataclass(frozen=True, eq=False)
class Costs:
    """What a rollout costs; sums and means are made when somebody asks.

    Attributes:
        by_vehicles: unweighted terms that depend on other vehicles, sample by sample, by name.
        others: the other unweighted terms, by name.
        weights: of all of them.
    """

    by_vehicles: dict[str, Float[Tensor, "batch candidates samples time"]]
    others: dict[str, Float[Tensor, "batch candidates time"]]
    weights: dict[str, float]

    @cached_property
    def terms(self) -> dict[str, Float[Tensor, "batch candidates time"]]:
        """Unweighted, by name, the mean over the samples."""
        found = self.others | {name: _mean(cost) for name, cost in self.by_vehicles.items()}
        return {name: found[name] for name in self.weights}

    @cached_property
    def vehicles(self) -> Float[Tensor, "batch candidates samples time"]:
        """The weighted sum of those that depend on other vehicles, sample by sample."""
        return self._sum(self.by_vehicles)

    @cached_property
    def rest(self) -> Float[Tensor, "batch candidates time"]:
        """The weighted sum of the others."""
        return self._sum(self.others)

    def _sum(self, costs: dict[str, Tensor]) -> Tensor:
        (first, cost), *others = costs.items()
        total = self.weights[first] * cost
        for name, cost in others:
            total = torch.add(total, cost, alpha=self.weights[name])
        return total

    @property
    def total(self) -> Float[Tensor, "batch candidates time"]:
        """All of it, the mean over the samples."""
        return self.rest + _mean(self.vehicles)


@dataclass(frozen=True)
class DrivingCost:
    """Named terms and their weighted sum."""

    config: Any = field(default_factory=DrivingCostConfig)

    def terms(self) -> dict[str, Term]:
        """By name."""
        return {name: getattr(self.config, name) for name in TERMS}

    def evaluate(self, rollout: Rollout) -> Costs:
        """All terms; one pass over the vehicles and one over the road."""
        terms, road = self.terms(), self.road_costs(rollout)
        others = {name: _mean(cost) for name, cost in road.items()}
        others |= {k: term.cost(rollout) for k, term in terms.items() if isinstance(term, PathTerm)}
        weights = {name: term.weight for name, term in terms.items()}
        return Costs(self.vehicle_costs(rollout), others, weights)

    def vehicle_costs(
        self, rollout: Rollout
    ) -> dict[str, Float[Tensor, "batch candidates samples time"]]:
        """Unweighted terms of the vehicles, sample by sample."""
        terms = {k: term for k, term in self.terms().items() if isinstance(term, VehicleTerm)}
        ego = rollout.ego
        masses = rollout.prediction.vehicle_mass(_stacked(terms, ego), ego)
        return _priced(terms, masses, ego)

    def road_costs(
        self, rollout: Rollout
    ) -> dict[str, Float[Tensor, "batch candidates roads time"]]:
        """Unweighted terms of the road, sample by sample where samples differ in it."""
        terms = {k: term for k, term in self.terms().items() if isinstance(term, RoadTerm)}
        ego, channels = rollout.ego, [term.channel for term in terms.values()]
        masses = rollout.prediction.road_mass(_stacked(terms, ego), ego, *channels)
        return _priced(terms, masses, ego)


_MassTerms = Mapping[str, VehicleTerm] | Mapping[str, RoadTerm]


def _stacked(terms: _MassTerms, ego: EgoPath) -> EgoMask:
    """The masks of all terms, in their order."""
    return EgoMask.stack([term.mask(ego) for term in terms.values()])


def _priced(
    terms: _MassTerms, masses: Float[Tensor, "batch candidates samples time terms"], ego: EgoPath
) -> dict[str, Float[Tensor, "batch candidates samples time"]]:
    """Each term's cost of what lies under its mask, by name."""
    return {
        name: term.cost(mass, ego)
        for (name, term), mass in zip(terms.items(), masses.unbind(-1), strict=True)
    }


def _mean(
    cost: Float[Tensor, "batch candidates samples time"],
) -> Float[Tensor, "batch candidates time"]:
    """Over the samples; a single one stays what it is, at no expense."""
    return cost.squeeze(2) if cost.shape[2] == 1 else cost.mean(2)
