"""Refusal of stray coordinates, which would extend the derived road."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from ppuu.runtime.errors import InputError

FARTHEST_M = 100_000.0
"""The longest instrumented road, I-24 MOTION, is 7 km."""


def refuse_stray(
    x_m: Float[np.ndarray, " n"], y_m: Float[np.ndarray, " n"], place: Callable[[int, str], str]
) -> None:
    """Refuses positions that lie more than ``FARTHEST_M`` from the others.

    Args:
        x_m, y_m: finite.
        place: file and line of a row's x_m or y_m, for the message.

    Raises:
        InputError: a position is more than ``FARTHEST_M`` from the median position.
    """
    for axis, values in (("x", x_m), ("y", y_m)):
        with np.errstate(over="ignore"):
            away_m = np.abs(values - np.median(values))
        row = int(away_m.argmax())
        if away_m[row] > FARTHEST_M:
            raise InputError(
                f"{place(row, f'{axis}_m')}: {axis} = {values[row]:g} m lies "
                f"{away_m[row] / 1000:.6g} km from the other vehicles; correct or remove the row"
            )
