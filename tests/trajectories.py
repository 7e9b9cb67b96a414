"""Recordings of given trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road

LENGTH_M = 4.5


def recording_of(
    paths: Sequence[np.ndarray], road: Road, dt_s: float = 0.1, name: str = "given", **provenance
) -> Recording:
    """Vehicles that begin in frame 0.

    Args:
        paths: ``(frames, 2)`` centres of each vehicle's box.
        road: below them.
        dt_s: seconds a frame.
        name: of the recording.
        **provenance: of the recording.
    """
    steps = [np.gradient(path, dt_s, axis=0) for path in paths]
    return Recording(
        frame=np.concatenate([np.arange(len(path)) for path in paths]),
        x_m=np.concatenate([path[:, 0] for path in paths]),
        y_m=np.concatenate([path[:, 1] for path in paths]),
        heading_rad=np.concatenate([np.arctan2(step[:, 1], step[:, 0]) for step in steps]),
        speed_mps=np.concatenate([np.hypot(*step.T) for step in steps]),
        vehicle_pointer=np.cumsum([0] + [len(path) for path in paths]),
        vehicle_id=np.arange(len(paths)),
        length_m=np.full(len(paths), LENGTH_M),
        width_m=np.full(len(paths), 1.8),
        road=road,
        dt_s=dt_s,
        name=name,
        provenance=provenance,
    )


def moved(recording: Recording, angle_rad: float, shift_m: tuple[float, float]) -> Recording:
    """The recording and its road, turned about the origin and then shifted."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.array([[cos, sin], [-sin, cos]])
    xy = np.stack([recording.x_m, recording.y_m], axis=1) @ turn + shift_m
    road = recording.road
    left, right = (line @ turn + shift_m for line in (road.left_m, road.right_m))
    return replace(
        recording,
        x_m=xy[:, 0],
        y_m=xy[:, 1],
        heading_rad=recording.heading_rad + angle_rad,
        road=Road(road.lane_pointer, left, right),
    )


def reordered(recording: Recording, order: Sequence[int]) -> Recording:
    """The same vehicles in another order."""
    pointer = recording.vehicle_pointer
    rows = np.concatenate([np.arange(pointer[v], pointer[v + 1]) for v in order])
    row_names = ("frame", "x_m", "y_m", "heading_rad", "speed_mps")
    return replace(
        recording,
        **{name: getattr(recording, name)[rows] for name in row_names},
        **{
            name: getattr(recording, name)[list(order)]
            for name in ("vehicle_id", "length_m", "width_m")
        },
        vehicle_pointer=np.concatenate([[0], np.cumsum(np.diff(pointer)[list(order)])]),
    )
