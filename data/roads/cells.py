"""Medians in the cells of a grid along a line, and Gaussian averages over neighbouring cells."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def cell_medians(
    values: Float[np.ndarray, " n"], cell: Int[np.ndarray, " n"], cells: int
) -> Float[np.ndarray, " cells"]:
    """Median of the values in each cell; NaN where a cell is empty."""
    order = np.argsort(cell, kind="stable")
    groups = np.split(values[order], np.cumsum(np.bincount(cell, minlength=cells))[:-1])
    return np.array([np.median(group) if len(group) else np.nan for group in groups])


def interpolated(values: Float[np.ndarray, " cells"]) -> Float[np.ndarray, " cells"]:
    """Values with linear interpolation in place of NaN."""
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(len(values)), known, values[known])


def smooth(values: np.ndarray, width: float) -> np.ndarray:
    """Gaussian average over neighbours; the end values are continued.

    Args:
        values: one row.
        width: standard deviation of the weights, in entries.
    """
    reach = int(np.ceil(3 * width))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(np.pad(values, reach, "edge"), weights / weights.sum(), mode="valid")
