"""Checks and repairs that every reader shares, and the report of what they did.

A reader hands over ``RawTracks``; ``recording`` refuses what cannot be true, mends what can be
mended as its ``CleanConfig`` says, counts every repair, and returns the recording.
"""

from .config import Bounds, CleanConfig
from .overlaps import overlapping_pairs
from .pipeline import recording
from .report import Report

__all__ = ["Bounds", "CleanConfig", "Report", "overlapping_pairs", "recording"]
