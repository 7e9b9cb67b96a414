"""What is measured on each recording of a corpus."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ppuu.recordings.recording import Recording

from ..clean.overlaps import overlapping_pairs
from ..traffic.road import SECTION_M

_STANDING_MPS = 0.5


def measures(recording: Recording) -> dict[str, float | int]:
    """Amount of traffic, its speed and lane changes; ``vehicles_per_km`` counts all lanes."""
    lane = _lane(recording)
    changes = (np.diff(lane) != 0) & (np.diff(recording.row_vehicle) == 0)
    vehicle_hours = recording.rows * recording.dt_s / 3600.0
    return {
        "seconds": round(recording.duration_s, 1),
        "vehicles": recording.vehicles,
        "vehicle_hours": round(vehicle_hours, 5),
        "mean_speed_mps": round(float(recording.speed_mps.mean()), 3),
        "vehicles_per_km": round(recording.rows / recording.frames / SECTION_M * 1000.0, 2),
        "standing_share": round(float((recording.speed_mps < _STANDING_MPS).mean()), 4),
        "lane_changes_per_vehicle_hour": round(float(changes.sum()) / vehicle_hours, 2),
    }


def faults(recording: Recording) -> dict[str, int]:
    """Pairs of vehicles whose boxes overlap in some frame, and centres that are on no lane."""
    return {
        "overlapping_pairs": len(overlapping_pairs(recording)),
        "off_road_rows": int((_lane(recording) < 0).sum()),
    }


def _lane(recording: Recording) -> Int[np.ndarray, " rows"]:
    return recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
