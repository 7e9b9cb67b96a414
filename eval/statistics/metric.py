"""A number with its interval, and rows of such numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A number and its 95 % interval.

    Attributes:
        value: the estimate; NaN if there was nothing to measure.
        low, high: ends of the interval, or of the range if the text beside the table says so.
        n: how many observations it rests on.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def without_interval(cls, value: float, n: int) -> Metric:
        """An estimate whose uncertainty is unknown."""
        return cls(value, math.nan, math.nan, n)


Row = Mapping[str, Metric | float | int | str | bool | None]
"""One line of a table: ``name``, then metrics, numbers and words."""
