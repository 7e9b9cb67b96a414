"""Drivers in pairs."""

import numpy as np
import pytest
from scipy import stats

from eval.statistics.paired import exact_mcnemar, paired


def test_mcnemar_doubles_the_tail_of_a_fair_coin():
    for pair in [(3, 3), (1, 7), (12, 2), (0, 5), (200, 150)]:
        tail = stats.binom.cdf(min(pair), sum(pair), 0.5)
        assert exact_mcnemar(*pair) == pytest.approx(min(1.0, 2.0 * tail))
    assert exact_mcnemar(0, 0) == 1.0


def test_pairs():
    first, second = [True, True, True, False], [True, False, False, True]
    row = paired(("a", "b"), (first, second), ([10.0] * 4, [4.0] * 4))
    assert row["name"] == "a - b"
    assert (row["only_first"], row["only_second"]) == (2, 1)
    assert row["success_difference"].value == 0.25
    assert row["mcnemar_p"] == 1.0
    assert row["distance_difference_m"].value == 6.0
    assert np.isfinite(row["distance_difference_m"].low)
