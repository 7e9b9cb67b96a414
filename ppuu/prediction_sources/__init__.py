"""Where a planner's predictions come from: a model, an extrapolation, the record, the simulator."""

from .base import PredictionFunction, PredictionSource
from .model import ModelSource
from .rasterized import RasterizedSource
from .recorded import RecordedSource
from .simulated import SimulatorSource

__all__ = [
    "ModelSource",
    "PredictionFunction",
    "PredictionSource",
    "RasterizedSource",
    "RecordedSource",
    "SimulatorSource",
]
