"""Means of many metrics at once, with intervals that know which clips belong together."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from ..reports.results import RESAMPLES, Metric


def clustered_means(
    values: Float[np.ndarray, "n metrics"], cluster: Int[np.ndarray, " n"]
) -> list[Metric]:
    """The mean of each column, with a 95 % bootstrap interval over clusters.

    Clips that look through one vehicle's eyes resemble each other, so whole vehicles are drawn,
    always the same ones for all columns; differences of columns are thus paired.

    Args:
        values: a row a clip; NaN where there was nothing to measure.
        cluster: whom each row belongs to.

    Returns:
        A metric a column, ``n`` the number of clusters that had something to measure.
    """
    members, place = np.unique(cluster, return_inverse=True)
    known = np.isfinite(values)
    sums, counts = np.zeros((2, len(members), values.shape[1]))
    np.add.at(sums, place, np.where(known, values, 0.0))
    np.add.at(counts, place, known)
    n = (counts > 0).sum(0)
    weights = cluster_weights(len(members))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(0) / counts.sum(0)
        resampled = (weights @ sums) / (weights @ counts)
    return [
        _with_interval(float(value), resampled[:, column], int(n[column]))
        for column, value in enumerate(means)
    ]


def _with_interval(value: float, resampled: Float[np.ndarray, " k"], clusters: int) -> Metric:
    """95 % of what resampling gave; no interval for a single cluster."""
    resampled = resampled[np.isfinite(resampled)]
    if clusters < 2 or len(resampled) == 0:
        return Metric(value, math.nan, math.nan, clusters)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Metric(value, float(low), float(high), clusters)


def cluster_weights(clusters: int) -> Float[np.ndarray, "resamples clusters"]:
    """How often each cluster is drawn in each resample."""
    random = np.random.default_rng(0)
    return random.multinomial(clusters, np.full(clusters, 1.0 / clusters), RESAMPLES).astype(float)


def clustered_rank_correlation(
    one: Float[np.ndarray, " n"], other: Float[np.ndarray, " n"], cluster: Int[np.ndarray, " n"]
) -> Metric:
    """Spearman's correlation, with a 95 % bootstrap interval over clusters.

    Ranks are those among all rows, also in the resamples.  NaN where one side does not vary.
    """
    members, place = np.unique(cluster, return_inverse=True)
    if len(members) == 0:
        return Metric(math.nan, math.nan, math.nan, 0)
    x, y = (ranks_of(values) for values in (one, other))
    columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    sums = np.zeros((len(members), 6))
    np.add.at(sums, place, columns)
    if x.std() == 0 or y.std() == 0:
        return Metric(math.nan, math.nan, math.nan, len(members))
    value = float(_correlation(sums.sum(0)[None])[0])
    resampled = _correlation(cluster_weights(len(members)) @ sums)
    return _with_interval(value, resampled, len(members))


def _correlation(sums: Float[np.ndarray, "k 6"]) -> Float[np.ndarray, " k"]:
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def ranks_of(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """From -0.5 to 0.5, equal values sharing their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = count.cumsum() - 0.5 * (count + 1)
    return rank[place] / max(1, len(values) - 1) - 0.5
