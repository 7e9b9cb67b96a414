"""Two drivers in the same scenarios."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .intervals import mean
from .metric import Row


def exact_mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p-value of as many discordant pairs on either side, if both were as likely.

    McNemar, 1947, with the binomial distribution in place of its approximation.
    """
    from scipy import stats  # see intervals.py

    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def paired(
    names: tuple[str, str],
    success: tuple[Sequence[bool], Sequence[bool]],
    distance_m: tuple[Sequence[float], Sequence[float]],
) -> Row:
    """Differences first minus second, with bootstrap intervals over the scenarios.

    Args:
        names: of the drivers.
        success: of both, scenario by scenario.
        distance_m: of both, likewise.
    """
    first, second = (np.array(values, bool) for values in success)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return {
        "name": " - ".join(names),
        "success_difference": mean(first.astype(float) - second),
        "only_first": only_first,
        "only_second": only_second,
        "mcnemar_p": exact_mcnemar(only_first, only_second),
        "distance_difference_m": mean(np.subtract(*distance_m)),
    }
