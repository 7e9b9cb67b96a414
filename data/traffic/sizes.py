"""Sizes of generated vehicles."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def draw_sizes(
    random: np.random.Generator, is_truck: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Lengths and widths in metres; cars as at I-80 (median 4.5 m by 1.9 m), trucks 8 to 16 m."""
    count = len(is_truck)
    length = np.clip(random.normal(4.6, 0.45, count), 3.6, 6.0)
    width = np.clip(random.normal(1.92, 0.14, count), 1.6, 2.25)
    length[is_truck] = random.uniform(8.0, 16.0, count)[is_truck]
    width[is_truck] = random.uniform(2.3, 2.55, count)[is_truck]
    return length, width
