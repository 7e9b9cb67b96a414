"""Intervals: as published, as scipy has them, and covering what they should."""

import math

import numpy as np
import pytest
from scipy import stats

from eval.statistics.intervals import (
    mean,
    median_and_range,
    over_seeds,
    rate,
    ratio,
    wilson_interval,
)
from eval.statistics.metric import Metric
from ppuu.runtime.errors import InputError


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson_interval(n - successes, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_a_wilson_interval_covers_the_truth():
    random = np.random.default_rng(0)
    found = random.binomial(60, 0.9, 2000)
    inside = [low <= 0.9 <= high for low, high in (wilson_interval(int(k), 60) for k in found)]
    assert 0.93 < np.mean(inside) < 0.975


def test_no_fraction_of_nothing():
    with pytest.raises(InputError, match="3 successes of 2"):
        wilson_interval(3, 2)
    assert math.isnan(rate(0, 0).value)
    assert rate(3, 4) == Metric(0.75, *wilson_interval(3, 4), 4)


def test_bootstrap_means():
    random = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        metric = mean(random.exponential(2.0, 80))
        inside.append(metric.low <= 2.0 <= metric.high)
    assert np.mean(inside) > 0.85
    values = random.normal(5.0, 1.0, 100)
    assert mean(values) == mean(values)
    assert mean(values).high - mean(values).low == pytest.approx(2 * 1.96 * 0.1, rel=0.25)
    assert mean([3.0]).value == 3.0 and math.isnan(mean([3.0]).low)
    assert math.isnan(mean([]).value)


def test_median_and_range():
    assert median_and_range([5.0, 1.0, 2.0]) == Metric(2.0, 1.0, 5.0, 3)


@pytest.mark.parametrize("n", [1, 7, 60])
def test_wilson_intervals_are_scipys(n):
    for k in range(n + 1):
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson_interval(k, n) == pytest.approx(tuple(expected), abs=1e-12)


def test_a_mean_count_of_repeats_lies_between_whole_ones():
    ends = np.array([wilson_interval(k, 10) for k in (3, 3.5, 4)])
    assert (np.diff(ends, axis=0) > 0).all()


def test_a_ratio_is_of_sums_over_the_same_episodes():
    random = np.random.default_rng(0)
    kilometres = random.uniform(0.1, 2.0, 60)
    sure = ratio(3.0 * kilometres, kilometres)
    assert (sure.value, sure.low, sure.high) == pytest.approx((3.0, 3.0, 3.0))
    changes = random.poisson(3.0 * kilometres).astype(float)
    metric = ratio(changes, kilometres)
    assert metric.value == pytest.approx(changes.sum() / kilometres.sum())
    assert metric.low < 3.0 < metric.high
    assert math.isnan(ratio([0.0], [0.0]).value)


@pytest.mark.parametrize("seeds", [2, 3, 5, 6, 20])
def test_intervals_over_seeds_are_students(seeds):
    values = np.random.default_rng(0).normal(0.3, 0.1, seeds)
    metric = over_seeds(values)
    low, high = stats.t.interval(0.95, seeds - 1, np.mean(values), stats.sem(values))
    assert (metric.low, metric.high) == pytest.approx((low, high))


def test_one_seed_has_no_interval_and_equal_ones_have_one_of_no_width():
    assert math.isnan(over_seeds([0.4]).low)
    assert over_seeds([0.5] * 4) == Metric(0.5, 0.5, 0.5, 4)
