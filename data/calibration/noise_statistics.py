"""Statistics of the noise in positions, of real recordings and of generated ones alike."""

from __future__ import annotations

import numpy as np

from ppuu.runtime.errors import InputError

from .lane_table import DT_S

SMOOTHING_FRAMES, SMOOTHING_DEGREE = 21, 3
_PLACE_M = 10.0
"""Length of road that has a shift of its own in the difference of two readings."""


def without_shift(error_m: np.ndarray, x_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Takes the mean by place away; returns the rest and the means of all places."""
    _, place = np.unique(np.floor(x_m / _PLACE_M), return_inverse=True)
    shift = np.bincount(place, error_m) / np.bincount(place)
    return error_m - shift[place], shift


def autocovariance(tracks: list[np.ndarray], lags: np.ndarray) -> np.ndarray:
    """Mean product of two values of a track some frames apart, less the track's mean."""
    centred = [track - track.mean() for track in tracks]
    values = []
    for lag in lags.tolist():
        products = [track[lag:] * track[: -lag or None] for track in centred if len(track) > lag]
        values.append(np.concatenate(products).mean())
    return np.array(values)


def spectrum(tracks: list[np.ndarray], window: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (Hz) and density (m²/Hz) of positions, as statistics of NGSIM give it.

    Welch's method on speeds by central differences (Hann, less a straight line), turned back into
    positions.

    Args:
        tracks: positions.
        window: frames; few, as short tracks, of fast vehicles, are the noisiest.
    """
    from scipy.signal import welch

    long = [track for track in tracks if len(track) >= window + 2]
    if not long:
        raise InputError("no track is long enough: give the whole table")
    densities, weights = [], []
    frequency = np.zeros(0)
    for track in long:
        speed = (track[2:] - track[:-2]) / (2 * DT_S)
        frequency, density = welch(
            speed, 1 / DT_S, "hann", window, detrend="linear", scaling="density"
        )
        densities.append(density)
        weights.append(len(speed))
    inner = slice(1, -1)  # neither the mean nor the highest, which central differences do not see
    gain = (np.sin(2 * np.pi * frequency[inner] * DT_S) / DT_S) ** 2
    mean = np.average(densities, axis=0, weights=weights)
    return frequency[inner], mean[inner] / gain


def roughness(
    positions: np.ndarray, tracks: list[np.ndarray], x_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows' speeds, and what a cubic fit over 2.1 s leaves of their positions."""
    from scipy.signal import savgol_filter

    speeds, rests = [], []
    for rows in tracks:
        if len(rows) < 2 * SMOOTHING_FRAMES:
            continue
        smooth = savgol_filter(positions[rows], SMOOTHING_FRAMES, SMOOTHING_DEGREE)
        rests.append(positions[rows] - smooth)
        speeds.append(savgol_filter(x_m[rows], 2 * SMOOTHING_FRAMES - 1, 2, deriv=1, delta=DT_S))
    return np.concatenate(speeds), np.concatenate(rests)
