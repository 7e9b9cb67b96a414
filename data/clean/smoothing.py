"""Smoothing of tracks that are sampled at a constant rate; all tracks at once.

Along paths (``paths``), or the mean of 15 frames, forward-looking, which is PPUU's, for comparison.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from .config import CleanConfig
from .paths import smoothed_paths
from .report import Tally
from .tracks import Tracks

PPUU_FRAMES = 15


def frames_lost(config: CleanConfig) -> int:
    """Frames at the end of each track that the smoothing takes."""
    return PPUU_FRAMES - 1 if config.smoothing == "ppuu-mean" else 0


def smoothed(tracks: Tracks, config: CleanConfig, dt_s: float, tally: Tally) -> Tracks:
    """Smooths positions and recorded headings; recorded speeds no longer match and are dropped."""
    if config.smoothing == "none":
        return tracks
    tally.repair(f"row smoothed ({config.smoothing})", len(tracks.frame))
    if config.smoothing == "path":
        return smoothed_paths(tracks, dt_s, config.shortest_period_s, config.shortest_wave_m)
    return _forward_means(tracks, config, tally)


def _forward_means(tracks: Tracks, config: CleanConfig, tally: Tally) -> Tracks:
    heading = tracks.heading_rad
    tracks = replace(
        tracks,
        x_m=forward_mean(tracks.x_m),
        y_m=forward_mean(tracks.y_m),
        heading_rad=None if heading is None else forward_mean(np.unwrap(heading)),
        speed_mps=None,
    )
    lost = frames_lost(config)
    left = tracks.pointer[1:][tracks.track] - np.arange(len(tracks.frame))
    tally.drop(f"last {lost} frames of a track ({config.smoothing})", (left <= lost).sum())
    return tracks.with_rows(left > lost)


def forward_mean(values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """PPUU's mean of a frame and the 14 that follow; undefined for the last 14 of each track."""
    ahead = np.convolve(values, np.full(PPUU_FRAMES, 1 / PPUU_FRAMES), mode="full")
    return ahead[PPUU_FRAMES - 1 :]
