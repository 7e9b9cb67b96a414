"""Checks and repairs of raw tracks, common to all sources, with a report.

``recording`` rejects impossible values of ``RawTracks``, repairs as enabled by ``CleanConfig``,
counts every repair, and returns the recording.
"""

from .config import Bounds, CleanConfig
from .origin import around_origin
from .overlaps import overlapping_pairs
from .pipeline import recording
from .report import Report

__all__ = ["Bounds", "CleanConfig", "Report", "around_origin", "overlapping_pairs", "recording"]
