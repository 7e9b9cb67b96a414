"""Training, validation and test splits of recordings."""

from .leakage import Leak, data_identity, leak, seen_in_training
from .manifest import DividedRecording, SplitManifest, divide, part_of
from .rules import By, FrameWindow, Part, Split, by_vehicle, time_windows, window

__all__ = [
    "By",
    "DividedRecording",
    "FrameWindow",
    "Leak",
    "Part",
    "Split",
    "SplitManifest",
    "by_vehicle",
    "data_identity",
    "divide",
    "leak",
    "part_of",
    "seen_in_training",
    "time_windows",
    "window",
]
