"""Motion across the road, from US-101 tracks: how lanes are kept and changed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ppuu.driving.calibration import LaneChangeFit, LaneKeeping
from ppuu.driving.lane_change_path import quintic

from .lateral_track import LateralTrack
from .tables import DT_S, runs

_AROUND_S = 2.25
"""Longer, and the wander before and after is taken for part of the change."""
_WORST_RMSE_M = 0.3
_DURATIONS_S = np.arange(2.0, 12.1, 0.25)
_SHIFTS_S = np.arange(-1.5, 1.51, 0.25)
_CLEAR_S, _STRETCH_S = 5.0, 10.0
_LAGS_S = (2.0, 5.0, 10.0)
"""Where the wander's autocorrelation is fitted: at shorter lags it holds errors of measurement."""


def fit_lane_changes(tracks: list[LateralTrack]) -> LaneChangeFit:
    """Least squares over begin, duration, first and last position of every stable change."""
    durations, errors, straight = [], [], []
    for track in tracks:
        for middle, lanes in track.stable_changes():
            if abs(lanes) != 1:
                continue
            around = round(_AROUND_S / DT_S)
            y = track.offset_m[max(middle - around, 0) : middle + around]
            if len(y) < 2 * around:
                continue
            time = (np.arange(2 * around) - around) * DT_S
            error, duration = min((_rmse_m(time, y, d, quintic), d) for d in _DURATIONS_S)
            if error < _WORST_RMSE_M:
                durations.append(duration)
                errors.append(error)
                straight.append(min(_rmse_m(time, y, d, np.asarray) for d in _DURATIONS_S))
    return LaneChangeFit(
        len(durations),
        round(float(np.median(durations)), 2),
        round(float(np.log(durations).std()), 3),
        round(float(np.median(errors)), 3),
        round(float(np.median(straight)), 3),
    )


def _rmse_m(
    time_s: Float[np.ndarray, " frames"],
    y_m: Float[np.ndarray, " frames"],
    duration_s: float,
    shape: Callable[[np.ndarray], np.ndarray],
) -> float:
    """Root mean squared error of the best path of a duration, over its middle and both ends."""
    progress = np.clip((time_s - _SHIFTS_S[:, None]) / duration_s + 0.5, 0.0, 1.0)
    basis = shape(progress)
    basis = basis - basis.mean(1, keepdims=True)
    centred = y_m - y_m.mean()
    slope = (basis @ centred) / (basis**2).sum(1)
    error = ((centred - slope[:, None] * basis) ** 2).mean(1).min() ** 0.5
    return float(error)


def fit_lane_keeping(tracks: list[LateralTrack]) -> LaneKeeping:
    """Wander and mean offsets of stretches of 10 s and more, 5 s away from any crossing."""
    clear, shortest = round(_CLEAR_S / DT_S), round(_STRETCH_S / DT_S)
    stretches = [
        (track.offset_m - track.centre_m)[part.start + clear : part.stop - clear]
        for track in tracks
        for part in runs(track.lane)
        if part.stop - part.start >= 2 * clear + shortest
    ]
    means = np.array([part.mean() for part in stretches])
    centred = [part - mean for part, mean in zip(stretches, means, strict=True)]
    wander = float(np.concatenate(centred).std())
    long = [part for part in centred if len(part) >= round(40 / DT_S)]
    lags = np.array(_LAGS_S)
    correlation = np.array(
        [
            np.mean([(p[:-k] * p[k:]).mean() / (p**2).mean() for p in long])
            for k in np.round(lags / DT_S).astype(int)
        ]
    )
    periods = [(a, b) for a in np.arange(3.0, 12.1, 0.5) for b in np.arange(14.0, 60.1, 2.0)]
    fits = [((_waves(lags, *pair) - correlation) ** 2).sum() for pair in periods]
    shortest_s, longest_s = periods[int(np.argmin(fits))]
    return LaneKeeping(
        round(wander, 3), round(float(means.std()), 3), float(shortest_s), float(longest_s)
    )


def _waves(
    lags_s: Float[np.ndarray, " lags"], shortest_s: float, longest_s: float
) -> Float[np.ndarray, " lags"]:
    """Autocorrelation of waves whose periods are log-uniform."""
    periods = np.exp(np.linspace(np.log(shortest_s), np.log(longest_s), 200))
    return np.cos(2 * np.pi * lags_s[:, None] / periods).mean(1)
