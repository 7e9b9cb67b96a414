"""Statistics of the vehicles' dynamics: quantiles, histograms and implausible rows."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.kinematics import ActionBounds, infer_actions
from ppuu.recordings.recording import Recording
from ppuu.units import seconds_to_frames

from .config import Bounds
from .motion import SLOWEST_MPS, slope
from .tracks import Tracks

HISTOGRAMS = {
    "speed_mps": (0.0, 50.0, 50),
    "acceleration_mps2": (-12.0, 12.0, 96),
    "jerk_mps3": (-30.0, 30.0, 100),
    "yaw_rate_radps": (-1.5, 1.5, 100),
    "lateral_acceleration_mps2": (-12.0, 12.0, 96),
}
"""Quantity → lowest edge, highest edge, bins; values beyond are counted in the outermost bins."""

_QUANTILES = {"min": 0.0, "p01": 0.01, "p50": 0.5, "p99": 0.99, "max": 1.0}
_REPLAY_S = 10.0
"""Duration of the segments along which actions are inferred."""

Dynamics = dict[str, Float[np.ndarray, " rows"]]


def from_positions(
    x_m: Float[np.ndarray, " rows"],
    y_m: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    dt_s: float,
) -> Dynamics:
    """All quantities from central differences of the positions."""
    velocity = [slope(values, pointer, 1) / dt_s for values in (x_m, y_m)]
    speed = np.hypot(*velocity)
    change = [slope(values, pointer, 1) / dt_s for values in velocity]
    turning = velocity[0] * change[1] - velocity[1] * change[0]
    moving = speed >= SLOWEST_MPS
    yaw_rate = np.where(moving, turning / np.where(moving, speed, 1.0) ** 2, 0.0)
    return _derived(speed, yaw_rate, pointer, dt_s)


def from_columns(
    speed_mps: Float[np.ndarray, " rows"],
    heading_rad: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    dt_s: float,
) -> Dynamics:
    """All quantities from speeds and headings."""
    yaw_rate = slope(np.unwrap(heading_rad), pointer, 1) / dt_s
    return _derived(speed_mps, yaw_rate, pointer, dt_s)


def _derived(speed: np.ndarray, yaw_rate: np.ndarray, pointer: np.ndarray, dt_s: float) -> Dynamics:
    acceleration = slope(speed, pointer, 1) / dt_s
    return {
        "speed_mps": speed,
        "acceleration_mps2": acceleration,
        "jerk_mps3": slope(acceleration, pointer, 1) / dt_s,
        "yaw_rate_radps": yaw_rate,
        "lateral_acceleration_mps2": speed * yaw_rate,
    }


def summary(dynamics: Dynamics, bounds: Bounds) -> dict[str, dict]:
    """Quantiles, fraction beyond the bounds and histogram of each quantity."""
    statistics = {}
    for quantity, values in dynamics.items():
        low, high = bounds.limits[quantity]
        quantiles = np.quantile(values, list(_QUANTILES.values()))
        statistics[quantity] = {
            **{name: round(float(v), 4) for name, v in zip(_QUANTILES, quantiles, strict=True)},
            "beyond_bounds": float(((values < low) | (values > high)).mean()),
            "histogram": _histogram(values, *HISTOGRAMS[quantity]),
        }
    return statistics


def _histogram(values: np.ndarray, low: float, high: float, bins: int) -> list[int]:
    index = ((values - low) * (bins / (high - low))).clip(0, bins - 1).astype(np.int64)
    return np.bincount(index, minlength=bins).tolist()


def implausible(
    dynamics: Dynamics, tracks: Tracks, bounds: Bounds
) -> tuple[dict[str, dict], list[dict]]:
    """Rows beyond the physical bounds.

    Returns:
        quantity → bounds, rows, tracks and the worst row; and a list of the tracks with such rows.
    """
    found, rows_of, owner = {}, {}, tracks.track
    for quantity, values in dynamics.items():
        low, high = bounds.limits[quantity]
        rows = np.flatnonzero((values < low) | (values > high))
        if not len(rows):
            continue
        worst = rows[np.abs(values[rows]).argmax()]
        own, counts = np.unique(owner[rows], return_counts=True)
        found[quantity] = {
            "bounds": [low, high],
            "rows": len(rows),
            "tracks": len(own),
            "worst": {
                "vehicle": int(tracks.vehicle[owner[worst]]),
                "frame": int(tracks.frame[worst]),
                "value": round(float(values[worst]), 3),
            },
        }
        for track, count in zip(own.tolist(), counts.tolist(), strict=True):
            rows_of.setdefault(track, {})[quantity] = count
    listed = [
        {
            "track": track,
            "vehicle": int(tracks.vehicle[track]),
            "first_frame": int(tracks.frame[tracks.pointer[track]]),
            "rows": rows_of[track],
        }
        for track in sorted(rows_of)
    ]
    return found, listed


def saturated_actions(recording: Recording) -> dict[str, float]:
    """Fraction of the inferred actions that reach the largest an ego can take.

    That is the acceleration which policies choose at most, and the curvature to which the wheels of
    a car or a lorry turn.  Actions are inferred along segments of ten seconds, each from its
    recorded initial state.
    """
    pointer, length = recording.vehicle_pointer, seconds_to_frames(_REPLAY_S, recording.dt_s) + 1
    since_start = np.arange(recording.rows) - pointer[:-1][recording.row_vehicle]
    last_row = pointer[1:][recording.row_vehicle] - 1
    starts = np.flatnonzero(
        (since_start % (length - 1) == 0) & (np.arange(recording.rows) < last_row)
    )
    if not len(starts):
        return {}
    last = last_row[starts]
    rows = starts[:, None] + np.arange(length)
    valid = (rows <= last[:, None])[:, 1:]
    rows = np.minimum(rows, last[:, None])
    positions = np.stack([recording.x_m[rows], recording.y_m[rows]], axis=-1)
    acceleration_mps2 = ActionBounds().acceleration_mps2
    size_m = np.stack([recording.length_m, recording.width_m], axis=1).astype(float)
    of_vehicle = VehicleLimits.of(torch.from_numpy(size_m)).largest_curvature_radpm
    curvature_radpm = of_vehicle[torch.from_numpy(recording.row_vehicle[starts])]
    actions, _ = infer_actions(
        torch.from_numpy(positions),
        torch.from_numpy(recording.heading_rad[starts].astype(float)),
        torch.from_numpy(recording.speed_mps[starts].astype(float)),
        recording.dt_s,
        acceleration_mps2,
        curvature_radpm,
    )
    acceleration, curvature = actions.abs().unbind(-1)
    relative = acceleration / acceleration_mps2, curvature / curvature_radpm[:, None]
    saturated = (torch.stack(relative, -1).numpy() > 1 - 1e-9)[valid].mean(axis=0)
    return {"acceleration_mps2": float(saturated[0]), "curvature_radpm": float(saturated[1])}
