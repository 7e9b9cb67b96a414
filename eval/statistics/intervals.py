"""Estimates with 95 % intervals from independent observations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ppuu.runtime.errors import InputError

from .metric import Metric

LEVEL = 0.95
RESAMPLES = 2000
_Z = 1.959963984540054
"""Two-sided quantile of the normal distribution at ``LEVEL``."""
_RESAMPLED_AT_ONCE = 1_000_000
"""Numbers drawn at once, to bound the memory."""


def rate(successes: float, n: int) -> Metric:
    """A fraction of ``n`` with its Wilson interval; of repeats of the same ``n``, their mean."""
    if n == 0:
        return Metric.without_interval(math.nan, 0)
    return Metric(successes / n, *wilson_interval(successes, n), n)


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """95 % score interval of a binomial fraction (Wilson, 1927): sound near 0 and 1, at small n.

    ``scipy.stats.binomtest`` has it for whole successes only; here they may be a mean over repeats.

    Raises:
        InputError: the number of successes is negative or above the number of trials.
    """
    if not 0 <= successes <= n or n < 1:
        raise InputError(f"{successes} successes of {n}: must be from 0 to {n}, of at least 1")
    fraction, square = successes / n, _Z**2
    middle = (fraction + square / (2 * n)) / (1 + square / n)
    half = _Z / (1 + square / n) * math.sqrt(fraction * (1 - fraction) / n + square / (4 * n**2))
    # Exact at 0 and 1 in spite of rounding.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return low, high


def mean(values: Sequence[float] | np.ndarray) -> Metric:
    """The mean with a bootstrap interval (percentiles of 2000 resamples, always the same ones)."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return Metric.without_interval(math.nan, 0)
    return _bootstrapped(np.mean, values)


def ratio(numerator: Sequence[float] | np.ndarray, denominator: Sequence[float]) -> Metric:
    """The quotient of two sums over the same episodes, with the bootstrap interval of ``mean``."""
    pairs = np.asarray(numerator, float), np.asarray(denominator, float)
    if pairs[1].sum() == 0:
        return Metric.without_interval(math.nan, len(pairs[0]))

    def quotient(above: np.ndarray, below: np.ndarray, axis: int = -1) -> np.ndarray:
        return above.sum(axis) / np.maximum(below.sum(axis), 1e-12)

    return _bootstrapped(quotient, *pairs)


def _bootstrapped(statistic: Callable[..., np.ndarray], *samples: np.ndarray) -> Metric:
    """A statistic of samples whose entries are resampled together (``scipy.stats.bootstrap``)."""
    from scipy import stats  # half a second, which a command's start need not wait for

    value, n = float(statistic(*samples)), len(samples[0])
    if n == 1:
        return Metric.without_interval(value, 1)
    interval = stats.bootstrap(
        samples, statistic, n_resamples=RESAMPLES, batch=max(1, _RESAMPLED_AT_ONCE // n),
        vectorized=True, paired=True, axis=-1, confidence_level=LEVEL, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Metric(value, float(interval.low), float(interval.high), n)


def over_seeds(values: Sequence[float] | np.ndarray) -> Metric:
    """The mean over seeds with Student's 95 % interval; without one for a single seed."""
    from scipy import stats

    values = np.asarray(values, float)
    middle, count = float(values.mean()), len(values)
    if count < 2:
        return Metric.without_interval(middle, count)
    # Zero scale, as for equal values, is not a distribution for scipy.
    half = stats.t.isf(0.5 * (1.0 - LEVEL), count - 1) * values.std(ddof=1) / math.sqrt(count)
    return Metric(middle, middle - float(half), middle + float(half), count)


def median_and_range(values: Sequence[float] | np.ndarray) -> Metric:
    """Median with smallest and largest value: for timings, whose spread is not sampling error."""
    values = np.asarray(values, float)
    if len(values) == 0:
        return Metric.without_interval(math.nan, 0)
    return Metric(float(np.median(values)), float(values.min()), float(values.max()), len(values))
