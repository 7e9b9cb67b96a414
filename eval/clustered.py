"""Means of many metrics at once, with intervals that know which clips belong together."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from .results import RESAMPLES, Metric


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
    found = []
    for column, value in enumerate(means):
        spread = resampled[:, column]
        spread = spread[np.isfinite(spread)]
        if n[column] < 2:
            found.append(Metric(float(value), math.nan, math.nan, int(n[column])))
            continue
        low, high = np.percentile(spread, [2.5, 97.5])
        found.append(Metric(float(value), float(low), float(high), int(n[column])))
    return found


def cluster_weights(clusters: int) -> Float[np.ndarray, "resamples clusters"]:
    """How often each cluster is drawn in each resample."""
    random = np.random.default_rng(0)
    return random.multinomial(clusters, np.full(clusters, 1.0 / clusters), RESAMPLES).astype(float)
