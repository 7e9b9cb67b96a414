"""Distances of distributions and paired tests, against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics.distributions import BINS, distances, divergence, histograms, wasserstein
from tests.eval.metrics.test_metrics import drives, moving


def test_distances_are_scipy_s():
    stats = pytest.importorskip("scipy.stats")
    spatial = pytest.importorskip("scipy.spatial.distance")
    random = np.random.default_rng(0)
    a, b = random.poisson(20, (2, 30)).astype(float)
    centres = 0.5 * np.arange(30)
    expected = stats.wasserstein_distance(centres, centres, a, b)
    assert wasserstein(a, b, 0.5) == pytest.approx(expected)
    assert divergence(a, b) == pytest.approx(spatial.jensenshannon(a, b, base=2) ** 2)
    assert divergence(a, a) == 0.0
    assert divergence(np.array([1.0, 0.0]), np.array([0.0, 5.0])) == pytest.approx(1.0)


def test_distances_of_constructed_drives():
    slow = drives(*[moving(10.0)] * 3, gap_m=[np.full(40, 20.0)] * 3)
    fast = drives(*[moving(13.0)] * 3, gap_m=[np.full(40, 26.0)] * 3)
    found = distances(fast, slow)
    assert found["speed_wasserstein_mps"].value == pytest.approx(3.0)
    assert found["gap_wasserstein_m"].value == pytest.approx(6.0)
    assert found["acceleration_wasserstein_mps2"].value == pytest.approx(0.0)
    assert found["speed_divergence"].value == pytest.approx(1.0)
    same = distances(slow, slow)
    assert all((m.value, m.low, m.high) == (0.0, 0.0, 0.0) for m in same.values())


def test_histograms_keep_every_row_but_the_starts():
    log = drives(
        moving(10.0, frames=30), moving(80.0, frames=20), gap_m=[[5.0] * 30, [np.inf] * 20]
    )
    found = histograms(log)
    assert found["speed"].sum(1).tolist() == [29, 19]
    assert found["speed"][1, -1] == 19  # beyond the last bin, counted in it
    assert found["gap"].sum(1).tolist() == [29, 0]
    assert {name: counts.shape for name, counts in found.items()} == {
        name: (2, bins.count) for name, bins in BINS.items()
    }


def test_nothing_to_compare():
    alone = drives(*[moving(10.0)] * 2)
    assert np.isnan(distances(alone, alone)["gap_wasserstein_m"].value)


def test_an_interval_covers_its_estimate():
    random = np.random.default_rng(1)
    one, other = (
        drives(*[moving(float(speed)) for speed in random.normal(mean, 2.0, 20)])
        for mean in (10.0, 12.0)
    )
    for metric in distances(one, other).values():
        if np.isfinite(metric.value):
            assert metric.low <= metric.value <= metric.high
    found = distances(one, other)["speed_wasserstein_mps"]
    assert found.low < 2.0 < found.high
