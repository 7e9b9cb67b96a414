"""Spearman's rank correlation of rows that belong to clusters."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from .clustered import percentile_interval, resampling_weights
from .metric import Metric


def clustered_rank_correlation(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], cluster: Int[np.ndarray, " n"]
) -> Metric:
    """Spearman's correlation, with a 95 % bootstrap interval over clusters.

    Ranks are those among all rows, also in the resamples.  NaN where one side does not vary.
    """
    from scipy import stats  # see intervals.py

    members, place = np.unique(cluster, return_inverse=True)
    if len(members) == 0 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return Metric.without_interval(math.nan, len(members))
    x, y = centred_ranks(one), centred_ranks(other)
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    sums = np.zeros((len(members), columns.shape[1]))
    np.add.at(sums, place, columns)
    resampled = _correlation(resampling_weights(len(members)) @ sums)
    value = float(stats.spearmanr(one, other)[0])
    return percentile_interval(value, resampled, len(members))


def _correlation(sums: Float[np.ndarray, "k 6"]) -> Float[np.ndarray, " k"]:
    """Pearson's correlation from sums of 1, x, y, their squares and their product."""
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def centred_ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Ranks from -0.5 to 0.5; equal values share their mean rank."""
    from scipy import stats

    return (stats.rankdata(values) - 1.0) / max(1, len(values) - 1) - 0.5
