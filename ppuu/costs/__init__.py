"""Driving costs: one term a file, each a function of a ``Rollout``; one weighted sum."""

from .base import PathTerm, RoadTerm, Term, VehicleTerm
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
    "Offroad",
    "PathTerm",
    "Proximity",
    "RoadTerm",
    "Term",
    "Uncertainty",
    "VehicleTerm",
]
