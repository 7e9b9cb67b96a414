"""The built-in traffic generator: dense, congested traffic on an I-80-like highway."""

from .presets import PRESETS, TrafficPreset
from .simulate import generate

__all__ = ["PRESETS", "TrafficPreset", "generate"]
