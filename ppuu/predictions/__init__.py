"""What is predicted, and an ego among it: one question each, whatever the kind of prediction."""

from .base import Errors, Prediction, RoadChannel
from .boxes import BoxPrediction
from .lane_speed import lane_speed_mps
from .mask import EgoMask, EgoPath
from .occupancy import OccupancyPrediction
from .rollout import Rollout
from .target import ImageTarget, Target, TargetConfig
from .vehicle_motion import (
    CarriedMotion,
    DrawnMotion,
    Flow,
    KnownSpeed,
    UniformMotion,
    VehicleMotion,
)

__all__ = [
    "BoxPrediction",
    "CarriedMotion",
    "DrawnMotion",
    "EgoMask",
    "EgoPath",
    "Errors",
    "Flow",
    "ImageTarget",
    "KnownSpeed",
    "OccupancyPrediction",
    "Prediction",
    "RoadChannel",
    "Rollout",
    "Target",
    "TargetConfig",
    "UniformMotion",
    "VehicleMotion",
    "lane_speed_mps",
]
