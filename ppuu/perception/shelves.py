"""Rectangles of different sizes packed into one, for textures side by side in an atlas."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

_LENGTHS = 64
"""Lengths of the shelves that are tried."""


def pack(
    sizes: Int[np.ndarray, "rectangles 2"],
) -> tuple[Int[np.ndarray, "rectangles 2"], Int[np.ndarray, "2"]]:
    """Places rectangles on shelves, as they come by thickness: first fit, decreasing height.

    Coffman, Garey, Johnson and Tarjan, "Performance bounds for level-oriented two-dimensional
    packing algorithms", SIAM J. Comput. 9 (1980); the length of the shelves with the smallest
    area is taken.

    Args:
        sizes: across and along the shelves.

    Returns:
        First corner of each rectangle, and the size of all together.
    """
    longest = int(sizes[:, 1].max())
    most = max(longest, min(int(sizes[:, 1].sum()), 4 * longest))
    candidates = np.unique(np.linspace(longest, most, _LENGTHS).round().astype(int))
    packed = [_on_shelves(sizes, int(length)) for length in candidates]
    return min(packed, key=lambda one: int(one[1].prod()))


def _on_shelves(sizes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Shelves of one length, which is at least that of the longest rectangle."""
    first = np.zeros_like(sizes)
    across, filled = [], []
    thickness = 0
    for index in np.argsort(-sizes[:, 0], kind="stable"):
        wide, long = sizes[index].tolist()
        free = next((k for k, used in enumerate(filled) if used + long <= length), None)
        if free is None:
            free = len(filled)
            across.append(thickness)
            filled.append(0)
            thickness += wide
        first[index] = across[free], filled[free]
        filled[free] += long
    return first, np.array([thickness, max(filled)])
