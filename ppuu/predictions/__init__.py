"""Predictions of the surroundings, behind one interface, and rollouts of the ego among them."""

from .base import Errors, Prediction, RoadChannel
from .boxes import BoxPrediction
from .lane_speed import lane_speed_mps
from .mask import EgoMask, EgoPath
from .occupancy import OccupancyPrediction
from .rollout import Rollout
from .target import ImageTarget, Target, TargetConfig
from .vehicle_motion import (
    Flow,
    FlowMotion,
    KnownSpeed,
    RasterizedMotion,
    UniformMotion,
    VehicleMotion,
)

__all__ = [
    "BoxPrediction",
    "EgoMask",
    "EgoPath",
    "Errors",
    "Flow",
    "FlowMotion",
    "ImageTarget",
    "KnownSpeed",
    "OccupancyPrediction",
    "Prediction",
    "RasterizedMotion",
    "RoadChannel",
    "Rollout",
    "Target",
    "TargetConfig",
    "UniformMotion",
    "VehicleMotion",
    "lane_speed_mps",
]
