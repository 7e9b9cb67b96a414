"""The one weighted sum of costs that policies, planners, rewards and plots share."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import require_not_negative
from ..rollout import Rollout
from . import among_tracks
from .comfort import Comfort
from .contact import Contact
from .lane import Lane
from .offroad import Offroad
from .pace import Pace
from .proximity import Proximity


@dataclass(frozen=True)
class DrivingCostConfig:
    """Terms and their weights.

    The weights were chosen on training recordings of the built-in traffic.

    Attributes:
        proximity_weight, contact_weight, lane_weight, offroad_weight, comfort_weight,
            pace_weight: weights.
        proximity, contact, lane, offroad, comfort, pace: the terms themselves.
    """

    proximity_weight: float = 1.0
    contact_weight: float = 4.0
    lane_weight: float = 0.2
    offroad_weight: float = 3.0
    comfort_weight: float = 0.02
    pace_weight: float = 0.5
    proximity: Proximity = field(default_factory=Proximity)
    contact: Contact = field(default_factory=Contact)
    lane: Lane = field(default_factory=Lane)
    offroad: Offroad = field(default_factory=Offroad)
    comfort: Comfort = field(default_factory=Comfort)
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self):
        weights = {f.name: getattr(self, f.name) for f in fields(self) if f.type == "float"}
        require_not_negative("driving cost", **weights)


@dataclass(frozen=True)
class DrivingCost:
    """Named terms and their weighted sum."""

    config: DrivingCostConfig = field(default_factory=DrivingCostConfig)

    def total(self, terms: dict[str, Float[Tensor, "batch time"]]) -> Float[Tensor, "batch time"]:
        """The weighted sum of named terms."""
        weighted = [getattr(self.config, f"{name}_weight") * term for name, term in terms.items()]
        return torch.stack(weighted).sum(0)

    def evaluate(
        self, rollout: Rollout
    ) -> tuple[dict[str, Float[Tensor, "batch time"]], Float[Tensor, "batch replicas time"]]:
        """All terms, and the part that depends on the predicted vehicles for each future alone.

        One pass serves both: the second result is what replicas disagree about.
        """
        config = self.config
        if among_tracks.applies(rollout):
            found = among_tracks.among_tracks(rollout, config)
            proximity, contact, lane, offroad = (
                found.proximity, found.contact, found.lane, found.offroad,
            )  # fmt: skip
            pace = config.pace.of(rollout, found.pace_mps)
        else:
            proximity = config.proximity.per_future(rollout)
            contact = config.contact.per_future(rollout)
            lane, offroad, pace = (
                term(rollout) for term in (config.lane, config.offroad, config.pace)
            )
        terms = {
            "proximity": proximity.mean(1),
            "contact": contact.mean(1),
            "lane": lane,
            "offroad": offroad,
            "comfort": config.comfort(rollout),
            "pace": pace,
        }
        return terms, config.proximity_weight * proximity + config.contact_weight * contact
