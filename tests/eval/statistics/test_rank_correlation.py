"""Rank correlation over clusters of rows."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from eval.statistics.rank_correlation import centred_ranks, clustered_rank_correlation


def test_ties_share_their_mean_rank():
    assert centred_ranks(np.array([5.0, 1.0, 5.0])).tolist() == [0.25, -0.5, 0.25]
    assert centred_ranks(np.array([7.0])).tolist() == [-0.5]


def test_rank_correlation_is_spearmans():
    random = np.random.default_rng(0)
    one = random.normal(size=300)
    other = (one + random.normal(size=300)).round(1)  # with ties
    found = clustered_rank_correlation(one, other, np.arange(300))
    assert found.value == pytest.approx(spearmanr(one, other)[0])
    assert found.low < found.value < found.high
    assert found.n == 300
    assert np.isnan(clustered_rank_correlation(one, np.ones(300), np.arange(300)).value)
    # A monotonic relation has no spread.
    sure = clustered_rank_correlation(one, np.exp(one), np.arange(300) // 10)
    assert (sure.value, sure.low) == (pytest.approx(1.0), pytest.approx(1.0))
