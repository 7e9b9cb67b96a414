"""How vehicles leave the on-ramp of I-80 (lane 7)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .tables import DT_S, read_columns, runs

_RAMP_LANE = 7
_LABEL_ENDS_M = 200.0
"""Beyond it the source calls the same lane 6."""
_BEGIN_M = 110.0


class Merging(NamedTuple):
    """Of all vehicles on the ramp of one slot.

    Attributes:
        vehicles: number.
        early_share: that change lanes before 200 m, within about 100 m of the gore.
        speed_mps: 5, 50 and 95 % of speeds at leaving the lane.
    """

    vehicles: int
    early_share: float
    speed_mps: tuple[float, float, float]


def merging(path: Path, slot: str) -> Merging:
    """Of one slot.

    Args:
        path: ``i80-lanes.csv.gz``.
        slot: such as ``0500``.

    Raises:
        InputError: see ``read_columns``.
    """
    names = ("slot", "lane", "vehicle_id", "time_s", "x_m")
    table = read_columns(path, names)
    own = (table["slot"] == int(slot)) & (table["lane"] == _RAMP_LANE)
    vehicle, x = table["vehicle_id"][own], table["x_m"][own]
    whole = [part for part in runs(vehicle) if x[part.start] < _BEGIN_M and part.stop > part.start]
    second = round(1.0 / DT_S)
    last = np.array([x[part.stop - 1] for part in whole])
    speeds = [x[p.stop - 1] - x[p.stop - 1 - second] for p in whole if p.stop - p.start > second]
    low, middle, high = np.round(np.quantile(speeds, (0.05, 0.5, 0.95)), 2).tolist()
    return Merging(len(whole), round(float((last < _LABEL_ENDS_M).mean()), 3), (low, middle, high))
