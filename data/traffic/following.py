"""Statistics of car-following, by which recordings of traffic are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ppuu.driving.gaps import bumper_gap_m
from ppuu.driving.lane_order import consecutive_rows
from ppuu.recordings.recording import Recording

_LONGEST_GAP_M = 80.0
"""A vehicle further behind does not follow."""

_MOVING_MPS = 1.0
"""Below this speed time gaps are not defined."""

_QUANTILES = np.linspace(0.005, 0.995, 199)


@dataclass(frozen=True, eq=False)
class Following:
    """One row for each frame of each vehicle behind another."""

    speed_mps: Float[np.ndarray, " rows"]
    gap_m: Float[np.ndarray, " rows"]
    acceleration_mps2: Float[np.ndarray, " rows"]

    def quantities(self) -> dict[str, np.ndarray]:
        """The samples to compare, by name; the time gap of moving vehicles only."""
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
        recording: its lanes must run along x.
        lanes: the lanes that count.
    """
    lane = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
    rows, leaders = consecutive_rows(recording.x_m, lane, recording.frame)
    length = recording.length_m[recording.row_vehicle]
    distance = recording.x_m[leaders] - recording.x_m[rows]
    gap = bumper_gap_m(distance, length[rows], length[leaders])
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
