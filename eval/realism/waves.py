"""How fast stop-and-go waves travel along the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .pairs import Pairs

UPSTREAM_MPS = np.arange(-12.0, -1.99, 0.05)
PLACE_M = 50.0
LAG_M = 20.0
REACH_M = (60.0, 300.0)
LEAST_CORRELATION = 0.1
"""Less of it is no wave: the real slots have 0.42 and 0.30."""

_LONGEST_S = int(np.ceil(REACH_M[1] / -UPSTREAM_MPS[-1])) + 1
_NEAREST, _BINS = round(REACH_M[0] / LAG_M), int(REACH_M[1] / LAG_M) + 1


@dataclass(frozen=True)
class Waves:
    """The wave speed, and how much it explains.

    Attributes:
        speed_mps: negative: against the traffic; NaN without waves.
        correlation: mean correlation of speed deviations along that line.
    """

    speed_mps: float
    correlation: float


def wave_speed(pairs: Pairs) -> Waves:
    """The velocity along which the followers' deviations of speed are most alike.

    Speeds at whole seconds, minus their mean over time at that place (50 m), are correlated
    between different vehicles ``dx`` apart along the road (60 to 300 m, in bins of 20 m) and ``dt``
    apart in time; the wave speed ``c`` is that whose line ``dt = dx / c`` has the largest mean
    correlation.  It is searched from 2 to 12 m/s against the traffic.  NaN where that correlation
    is below 0.1 or lies at an end of the search.
    """
    sums = np.zeros((3, _BINS, _LONGEST_S + 1))
    for number in np.unique(pairs.recording):
        rows = pairs.recording == number
        sums += _correlations(
            pairs.follower[rows], pairs.time_s[rows], pairs.x_m[rows], pairs.speed_mps[rows]
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = sums[0] / np.sqrt(sums[1] * sums[2])
    lags = np.arange(_NEAREST, _BINS)
    along = np.stack([_along(correlation, lags, LAG_M * lags / -c) for c in UPSTREAM_MPS])
    valid = np.isfinite(along)
    scores = np.where(valid, along, 0.0).sum(1) / np.maximum(valid.sum(1), 1)
    # A line needs measurements over at least half of its length.
    scores[valid.mean(1) < 0.5] = -1.0
    best = int(scores.argmax())
    found = scores[best] >= LEAST_CORRELATION and 0 < best < len(scores) - 1
    speed = float(UPSTREAM_MPS[best]) if found else float("nan")
    return Waves(speed, float(scores[best]) if scores[best] > -1.0 else float("nan"))


def _correlations(
    vehicle: np.ndarray, time_s: np.ndarray, x_m: np.ndarray, speed_mps: np.ndarray
) -> Float[np.ndarray, "3 bins seconds"]:
    """Sums of products, and of both squares, by distance and time between two vehicles."""
    second = np.round(time_s).astype(int)
    # The row nearest to each whole second.
    order = np.lexsort((np.abs(time_s - second), second, vehicle))
    first = np.diff(vehicle[order], prepend=-1) != 0
    rows = order[first | (np.diff(second[order], prepend=-1) != 0)]
    rows = rows[np.argsort(second[rows], kind="stable")]
    vehicle, second, x, speed = vehicle[rows], second[rows], x_m[rows], speed_mps[rows]
    place = np.floor(x / PLACE_M).astype(int)
    place -= place.min()
    deviation = speed - (np.bincount(place, speed) / np.maximum(np.bincount(place), 1))[place]
    sums = np.zeros((3, _BINS * (_LONGEST_S + 1)))
    starts = np.searchsorted(second, np.arange(second[0], second[-1] + 2))
    for now in range(len(starts) - 1):
        a = slice(starts[now], starts[now + 1])
        if a.start == a.stop:
            continue
        # The wave is met upstream (smaller x) later: all rows of the coming seconds at once.
        b = slice(a.start, starts[min(now + _LONGEST_S + 1, len(starts) - 1)])
        lag = np.round((x[a, None] - x[b]) / LAG_M).astype(int)
        one, other = np.nonzero(
            (lag >= _NEAREST) & (lag < _BINS) & (vehicle[a, None] != vehicle[b])
        )
        cell = lag[one, other] * (_LONGEST_S + 1) + (second[b] - second[a.start])[other]
        left, right = deviation[a][one], deviation[b][other]
        for total, values in zip(sums, (left * right, left**2, right**2), strict=True):
            total += np.bincount(cell, values, total.size)
    return sums.reshape(3, _BINS, _LONGEST_S + 1)


def _along(
    table: Float[np.ndarray, "bins seconds"], rows: np.ndarray, column: np.ndarray
) -> Float[np.ndarray, " bins"]:
    """Linear interpolation within rows."""
    low = np.clip(np.floor(column).astype(int), 0, table.shape[1] - 2)
    part = np.clip(column - low, 0.0, 1.0)
    return (1 - part) * table[rows, low] + part * table[rows, low + 1]
