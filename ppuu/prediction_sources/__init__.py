"""Where a planner's predictions come from: a model, an extrapolation, the record, the simulator."""

from .base import PredictionFunction, PredictionSource
from .drawn import DrawnSource
from .model import ModelSource
from .recorded import RecordedSource
from .simulated import SimulatorSource

__all__ = [
    "DrawnSource",
    "ModelSource",
    "PredictionFunction",
    "PredictionSource",
    "RecordedSource",
    "SimulatorSource",
]
