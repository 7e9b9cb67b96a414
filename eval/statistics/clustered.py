"""Means of many metrics at once, resampled by clusters of rows that belong together.

``scipy.stats.bootstrap`` knows no clusters; here a resample is a row of weights, so that all
metrics share the resamples and a matrix product does them all.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from .intervals import RESAMPLES
from .metric import Metric


def clustered_means(
    values: Float[np.ndarray, "n metrics"], cluster: Int[np.ndarray, " n"]
) -> list[Metric]:
    """The mean of each column, with a 95 % bootstrap interval over clusters.

    Clips with the same ego resemble each other, so whole vehicles are drawn, always the same ones
    for all columns; differences of columns are thus paired.

    Args:
        values: a row a clip; NaN where there was nothing to measure.
        cluster: the vehicle (or scenario) that each row belongs to.

    Returns:
        A metric a column, ``n`` the number of clusters that had something to measure.
    """
    members, place = np.unique(cluster, return_inverse=True)
    valid = np.isfinite(values)
    sums, counts = np.zeros((2, len(members), values.shape[1]))
    np.add.at(sums, place, np.where(valid, values, 0.0))
    np.add.at(counts, place, valid)
    n = (counts > 0).sum(0)
    weights = resampling_weights(len(members))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums.sum(0) / counts.sum(0)
        resampled = (weights @ sums) / (weights @ counts)
    return [
        percentile_interval(float(value), resampled[:, column], int(n[column]))
        for column, value in enumerate(means)
    ]


def percentile_interval(value: float, resampled: Float[np.ndarray, " k"], clusters: int) -> Metric:
    """An estimate with the central 95 % of its resamples; no interval for a single cluster."""
    resampled = resampled[np.isfinite(resampled)]
    if clusters < 2 or len(resampled) == 0:
        return Metric.without_interval(value, clusters)
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Metric(value, float(low), float(high), clusters)


def resampling_weights(
    clusters: int, resamples: int = RESAMPLES
) -> Float[np.ndarray, "resamples clusters"]:
    """How often each cluster is drawn in each resample; always the same."""
    random = np.random.default_rng(0)
    return random.multinomial(clusters, np.full(clusters, 1.0 / clusters), resamples).astype(float)
