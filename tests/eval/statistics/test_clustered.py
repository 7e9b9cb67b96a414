"""Means over clusters of rows."""

import numpy as np

from eval.statistics.clustered import clustered_means


def test_clusters_by_hand():
    values = np.array([[1.0, np.nan], [2.0, 4.0], [6.0, np.nan]])
    same, other = clustered_means(values, np.array([7, 7, 9]))
    assert same.value == 3.0
    assert same.n == 2
    assert same.low == 1.5  # only the first vehicle drawn: the mean of its clips
    assert same.high == 6.0
    assert (other.value, other.n) == (4.0, 1)
    assert np.isnan([other.low, other.high]).all()
    # A bootstrap over vehicles is wider than one that takes their clips for independent.
    random = np.random.default_rng(1)
    own = np.repeat(random.normal(size=40), 10)
    wide = clustered_means(own[:, None], np.repeat(np.arange(40), 10))[0]
    narrow = clustered_means(own[:, None], np.arange(400))[0]
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)
