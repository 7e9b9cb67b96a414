"""Worlds to plan in: what the surroundings will be, given what the ego will do."""

from .base import Foresight, World
from .drawn import DrawnWorld
from .predicted import PredictedWorld
from .recorded import RecordedWorld
from .simulated import SimulatedWorld

__all__ = ["DrawnWorld", "Foresight", "PredictedWorld", "RecordedWorld", "SimulatedWorld", "World"]
