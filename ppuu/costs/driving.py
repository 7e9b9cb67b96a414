"""The one weighted sum of costs that policies, planners, rewards, metrics and plots share."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictions import EgoMask, Rollout
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
    """What a rollout costs.

    Attributes:
        terms: unweighted, by name, the mean over the samples.
        vehicles: the weighted sum of those that depend on other vehicles, sample by sample.
        rest: the weighted sum of the others.
    """

    terms: dict[str, Float[Tensor, "batch candidates time"]]
    vehicles: Float[Tensor, "batch candidates samples time"]
    rest: Float[Tensor, "batch candidates time"]

    @property
    def total(self) -> Float[Tensor, "batch candidates time"]:
        """All of it, the mean over the samples."""
        return self.rest + self.vehicles.mean(2)


@dataclass(frozen=True)
class DrivingCost:
    """Named terms and their weighted sum."""

    config: Any = field(default_factory=DrivingCostConfig)

    def terms(self) -> dict[str, Term]:
        """By name."""
        return {name: getattr(self.config, name) for name in TERMS}

    def evaluate(self, rollout: Rollout) -> Costs:
        """All terms; one pass over the vehicles and one over each term of the road."""
        terms = self.terms()
        vehicles, road = self.vehicle_costs(rollout), self.road_costs(rollout)
        rest = {name: cost.mean(2) for name, cost in road.items()}
        rest |= {k: term.cost(rollout) for k, term in terms.items() if isinstance(term, PathTerm)}
        found = rest | {name: cost.mean(2) for name, cost in vehicles.items()}
        return Costs(
            {name: found[name] for name in terms},
            torch.stack([terms[name].weight * cost for name, cost in vehicles.items()]).sum(0),
            torch.stack([terms[name].weight * cost for name, cost in rest.items()]).sum(0),
        )

    def vehicle_costs(
        self, rollout: Rollout
    ) -> dict[str, Float[Tensor, "batch candidates samples time"]]:
        """Unweighted terms of the vehicles, sample by sample."""
        terms = {k: term for k, term in self.terms().items() if isinstance(term, VehicleTerm)}
        ego = rollout.ego
        mask = EgoMask.stack([term.mask(ego) for term in terms.values()])
        masses = rollout.prediction.vehicle_mass(mask, ego).unbind(-1)
        return {
            name: term.cost(mass, ego)
            for (name, term), mass in zip(terms.items(), masses, strict=True)
        }

    def road_costs(
        self, rollout: Rollout
    ) -> dict[str, Float[Tensor, "batch candidates roads time"]]:
        """Unweighted terms of the road, sample by sample where samples differ in it."""
        ego, found = rollout.ego, {}
        for name, term in self.terms().items():
            if isinstance(term, RoadTerm):
                mass = rollout.prediction.road_mass(term.mask(ego), ego, term.channel)
                found[name] = term.cost(mass[..., 0], ego)
        return found
