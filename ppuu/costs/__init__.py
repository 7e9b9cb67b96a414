"""The driving cost: a weighted sum of terms, each a function of a ``Rollout``."""

from .base import MassTerm, PathTerm, RoadTerm, Term, VehicleTerm
from .driving import Costs, DrivingCost, DrivingCostConfig
from .terms import TERMS
from .terms.comfort import Comfort
from .terms.contact import Contact
from .terms.lane import Lane
from .terms.lane_speed import LaneSpeed
from .terms.offroad import Offroad
from .terms.proximity import Proximity
from .uncertainty import Uncertainty

__all__ = [
    "TERMS",
    "Comfort",
    "Contact",
    "Costs",
    "DrivingCost",
    "DrivingCostConfig",
    "Lane",
    "LaneSpeed",
    "MassTerm",
    "Offroad",
    "PathTerm",
    "Proximity",
    "RoadTerm",
    "Term",
    "Uncertainty",
    "VehicleTerm",
]
