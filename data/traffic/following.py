"""How vehicles follow each other: what a recording of traffic is compared by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ppuu.recordings.recording import Recording

_LONGEST_GAP_M = 80.0
"""Whoever is further behind does not follow."""

_MOVING_MPS = 1.0
"""Time gaps mean nothing at standstill."""

_QUANTILES = np.linspace(0.005, 0.995, 199)


@dataclass(frozen=True, eq=False)
class Following:
    """One row for every moment of one vehicle behind another."""

    speed_mps: Float[np.ndarray, " rows"]
    gap_m: Float[np.ndarray, " rows"]
    acceleration_mps2: Float[np.ndarray, " rows"]

    def quantities(self) -> dict[str, np.ndarray]:
        """The samples to compare, by name; the time gap only of those who move."""
        moving = self.speed_mps > _MOVING_MPS
        return {
            "speed_mps": self.speed_mps,
            "gap_m": self.gap_m,
            "time_gap_s": self.gap_m[moving] / self.speed_mps[moving],
            "acceleration_mps2": self.acceleration_mps2,
        }


def following(recording: Recording, lanes: Sequence[int]) -> Following:
    """Finds each vehicle's leader in its lane at each frame.

    Args:
        recording: lanes must run along x.
        lanes: which lanes count.
    """
    lane = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
    order = np.lexsort((recording.x_m, lane, recording.frame))
    same = (np.diff(recording.frame[order]) == 0) & (np.diff(lane[order]) == 0)
    rows, leaders = order[:-1][same], order[1:][same]
    length = recording.length_m[recording.row_vehicle]
    gap = recording.x_m[leaders] - recording.x_m[rows] - 0.5 * (length[rows] + length[leaders])
    change = np.diff(recording.speed_mps.astype(float), append=0.0) / recording.dt_s
    ends = np.isin(rows, recording.vehicle_pointer[1:] - 1)
    keep = np.isin(lane[rows], lanes) & (gap > 0) & (gap < _LONGEST_GAP_M) & ~ends
    rows, gap = rows[keep], gap[keep]
    return Following(recording.speed_mps[rows].astype(float), gap, change[rows])


def distances(a: Following, b: Following) -> dict[str, float]:
    """Wasserstein-1 distance of each quantity in its own unit: the mean distance of quantiles."""
    return {
        name: float(
            np.abs(
                np.quantile(values, _QUANTILES) - np.quantile(b.quantities()[name], _QUANTILES)
            ).mean()
        )
        for name, values in a.quantities().items()
    }
