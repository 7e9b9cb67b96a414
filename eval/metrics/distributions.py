"""How far the distributions of what is driven lie from the humans', on the same scenarios.

Like the realism measures of the Waymo Open Sim Agents Challenge (Montali et al., 2023), but over
pooled drives: a distance of two histograms instead of a likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ..statistics.clustered import resampling_weights
from ..statistics.metric import Metric
from .comfort import Motion
from .drives import Drives
from .headway import FARTHEST_M

_RESAMPLES = 500


@dataclass(frozen=True)
class Bins:
    """Equal bins of a histogram; what lies beyond is counted in the outermost ones."""

    low: float
    high: float
    count: int
    unit: str

    @property
    def width(self) -> float:
        """Of one bin."""
        return (self.high - self.low) / self.count

    def histograms(
        self, drives: Drives, values: Float[np.ndarray, " rows"], where: Bool[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "episodes bins"]:
        """Counts of each episode's values over chosen rows."""
        place = ((values[where] - self.low) / self.width).clip(0, self.count - 1).astype(int)
        flat = drives.episode[where] * self.count + place
        counts = np.bincount(flat, minlength=len(drives) * self.count)
        return counts.reshape(len(drives), self.count).astype(float)


BINS = {
    "speed": Bins(0.0, 50.0, 100, "mps"),
    "acceleration": Bins(-8.0, 8.0, 80, "mps2"),
    "gap": Bins(0.0, FARTHEST_M, 100, "m"),
}


def histograms(drives: Drives) -> dict[str, Float[np.ndarray, "episodes bins"]]:
    """Speeds, accelerations (smoothed, along the heading) and gaps to leaders of each episode."""
    acceleration = Motion(drives).acceleration_mps2
    samples = {
        "speed": (drives.speed_mps, drives.driven),
        "acceleration": (acceleration, drives.driven & np.isfinite(acceleration)),
        "gap": (drives.gap_m, drives.driven & np.isfinite(drives.gap_m)),
    }
    return {name: BINS[name].histograms(drives, *pair) for name, pair in samples.items()}


def wasserstein(
    a: Float[np.ndarray, "*batch bins"], b: Float[np.ndarray, "*batch bins"], width: float
) -> Float[np.ndarray, "*batch"]:
    """1-Wasserstein distance of two histograms, in the unit of the bins' width."""
    return np.abs(np.cumsum(_shares(a) - _shares(b), axis=-1)).sum(-1) * width


def divergence(
    a: Float[np.ndarray, "*batch bins"], b: Float[np.ndarray, "*batch bins"]
) -> Float[np.ndarray, "*batch"]:
    """Jensen-Shannon divergence of two histograms in bits: 0 if alike, 1 without a common bin."""
    from scipy.spatial.distance import jensenshannon  # imported late, see statistics/intervals.py

    distance = jensenshannon(_shares(a), _shares(b), base=2, axis=-1)  # type: ignore[call-arg]
    return distance**2


def _shares(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(-1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def distances(drives: Drives, humans: Drives) -> dict[str, Metric]:
    """Both distances for each quantity, with bootstrap intervals over the scenarios.

    Args:
        drives, humans: the same scenarios in the same order.
    """
    own, recorded = histograms(drives), histograms(humans)
    episodes = len(drives)
    draws = resampling_weights(episodes, _RESAMPLES)
    found: dict[str, Metric] = {}
    for name, bins in BINS.items():
        a, b = own[name], recorded[name]
        pairs = ((a.sum(0), b.sum(0)), (draws @ a, draws @ b))
        for key, (value, resampled) in {
            f"{name}_wasserstein_{bins.unit}": [wasserstein(*pair, bins.width) for pair in pairs],
            f"{name}_divergence": [divergence(*pair) for pair in pairs],
        }.items():
            found[key] = _interval(float(value), resampled[np.isfinite(resampled)], episodes)
    return found


def _interval(value: float, resampled: Float[np.ndarray, " draws"], n: int) -> Metric:
    """Percentiles; resampling adds to a distance, so the estimate itself bounds them."""
    if n < 2 or not len(resampled):
        return Metric(value, np.nan, np.nan, n)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Metric(value, min(float(low), value), max(float(high), value), n)
