"""Driving costs: one term a file, each a function of a ``Rollout``; one weighted sum."""

from .comfort import Comfort
from .contact import Contact
from .driving import DrivingCost, DrivingCostConfig
from .lane import Lane
from .offroad import Offroad
from .pace import Pace
from .proximity import Proximity
from .uncertainty import Uncertainty

__all__ = [
    "Comfort",
    "Contact",
    "DrivingCost",
    "DrivingCostConfig",
    "Lane",
    "Offroad",
    "Pace",
    "Proximity",
    "Uncertainty",
]
