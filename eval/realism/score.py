"""Distances between the features of two traffics, and one score for all of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

BINS = 40
SMOOTHING = 0.01
"""Share of a histogram that is spread evenly, so that no bin is impossible."""

Quantiles = Mapping[str, Float[np.ndarray, " levels"]]


def wasserstein(traffic: Quantiles, real: Quantiles) -> dict[str, float]:
    """Wasserstein-1 distance of each feature, in its own unit: the mean distance of quantiles.

    NaN for features that the traffic lacks.
    """
    return {
        name: float(np.abs(traffic[name] - other).mean()) if name in traffic else float("nan")
        for name, other in real.items()
    }


def realism(traffic: Quantiles, real: Quantiles) -> float:
    """Likelihood of real values under the traffic's histograms, as a fraction of the best possible.

    Waymo's Sim Agents Challenge (Montali et al., 2023, section 4) judges a simulator by the
    likelihood of logged features under histograms of simulated ones.  So does this score: a
    feature's likelihood is ``exp(mean log q(real))`` with ``q`` the traffic's histogram, divided by
    what the real histogram ``p`` itself reaches, which leaves ``exp(-KL(p || q))``; features are
    joined by their geometric mean.  Unlike there, histograms are those of all vehicles and times
    together, since no logged scene is simulated again, and their bins are the real quantiles.

    1 is the real slot itself, and nothing exceeds it: traffic that is narrower than the real one
    leaves bins empty in which real values lie.  NaN where a feature is missing.
    """
    divergence = []
    for name, values in real.items():
        if name not in traffic or not np.isfinite(traffic[name]).all():
            return float("nan")
        edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
        p, q = (_histogram(sample, edges) for sample in (values, traffic[name]))
        divergence.append((p * np.log(p / q)).sum())
    return float(np.exp(-np.mean(divergence)))


def _histogram(values: np.ndarray, edges: np.ndarray) -> Float[np.ndarray, " bins"]:
    """Probabilities between the edges, and beyond the outer ones."""
    count = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return (1 - SMOOTHING) * count / len(values) + SMOOTHING / (len(edges) + 1)
