"""Values that cannot be true: the file is refused."""

from __future__ import annotations

import numpy as np

from ppuu.errors import InputError

from ..raw import RawTracks

ROUNDING_MPS = 0.01
"""Speeds this little below zero are rounding; set to zero and counted."""

_NUMBERS = ("x_m", "y_m", "heading_rad", "speed_mps", "recorded_speed_mps", "length_m", "width_m")


def check_values(rows: RawTracks) -> None:
    """Refuses rows that cannot be true.

    Raises:
        InputError: no row, a value that is not finite, a negative speed or a box without size;
            with file, line, vehicle and frame.
    """
    if not len(rows.frame):
        raise InputError(f"{rows.file}: it holds no row of a moving vehicle")
    for key in _NUMBERS:
        values = getattr(rows, key)
        bad = [] if values is None else np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError(f"{rows.place(bad[0])}: {key} is not a number; mend or remove it")
    for speed_mps in (rows.speed_mps, rows.recorded_speed_mps):
        if speed_mps is None:
            continue
        bad = np.flatnonzero(speed_mps < -ROUNDING_MPS)
        if len(bad):
            raise InputError(
                f"{rows.place(bad[0])}: its speed is negative "
                f"({speed_mps[bad[0]]:.3f} m/s); mend or remove the row"
            )
    bad = np.flatnonzero((rows.length_m <= 0) | (rows.width_m <= 0))
    if len(bad):
        size = f"{rows.length_m[bad[0]]:.2f} m x {rows.width_m[bad[0]]:.2f} m"
        raise InputError(f"{rows.place(bad[0])}: its box has no size ({size}); mend the row")
