"""The built-in traffic generator: a highway, straight or in bends, from free flow to queues."""

from .presets import PRESETS, TrafficPreset
from .simulate import generate

__all__ = ["PRESETS", "TrafficPreset", "generate"]
