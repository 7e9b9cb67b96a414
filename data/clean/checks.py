"""Rejection of files with impossible values."""

from __future__ import annotations

import numpy as np

from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks
from ..roads.extent import refuse_stray

ROUNDING_MPS = 0.01
"""Negative speeds up to this size are rounding errors, set to 0 and counted."""

_LARGEST = {
    "x_m": 1e9,
    "y_m": 1e9,
    "heading_rad": 1e6,
    "speed_mps": 1e3,
    "recorded_speed_mps": 1e3,
    "length_m": 1e3,
    "width_m": 1e3,
    "frame": 1e15,
}
"""Largest absolute values of a valid file; plausibility is checked in ``dynamics``."""


def check_values(rows: RawTracks) -> None:
    """Rejects impossible rows.

    Raises:
        InputError: no row, a value that is not finite or too large, an isolated position, a
            negative speed or a box without size; with file, line, vehicle and frame.
    """
    if not len(rows.frame):
        raise InputError(
            f"{rows.file}: no row of a moving vehicle; give a file in which vehicles move"
        )
    for key, largest in _LARGEST.items():
        values = getattr(rows, key)
        if values is None:
            continue
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError(
                f"{rows.place(bad[0], key)}: {key} is not a number; correct or remove it"
            )
        # Not by absolute value, which overflows for the smallest integer.
        bad = np.flatnonzero((values > largest) | (values < -largest))
        if len(bad):
            raise InputError(
                f"{rows.place(bad[0], key)}: {key} is {values[bad[0]]:g}, which is impossible; "
                "correct or remove the row"
            )
    refuse_stray(rows.x_m, rows.y_m, rows.place)
    for key in ("speed_mps", "recorded_speed_mps"):
        speed_mps = getattr(rows, key)
        if speed_mps is None:
            continue
        bad = np.flatnonzero(speed_mps < -ROUNDING_MPS)
        if len(bad):
            raise InputError(
                f"{rows.place(bad[0], key)}: its speed is negative "
                f"({speed_mps[bad[0]]:.3f} m/s); correct or remove the row"
            )
    bad = np.flatnonzero((rows.length_m <= 0) | (rows.width_m <= 0))
    if len(bad):
        sizes = {key: getattr(rows, key)[bad[0]] for key in ("length_m", "width_m")}
        place = rows.place(bad[0], *(key for key, size_m in sizes.items() if size_m <= 0))
        size = " x ".join(f"{size_m:.2f} m" for size_m in sizes.values())
        raise InputError(f"{place}: its box has no size ({size}); correct the row")
