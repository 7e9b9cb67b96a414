"""A recording of traffic that drives itself, in closed loop and without an ego."""

from __future__ import annotations

import numpy as np
import torch

from envs.traffic.base import Traffic
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

_AWAY_M = 1000.0
"""Distance from all roads at which the simulator's ego is out of everybody's way."""
_MARGIN_M = 2.0
"""Vehicles are recorded as far as this beyond the outermost recorded positions."""


def drive(
    traffic: Traffic, scene: Scene, recording: Recording, first_frame: int, frames: int, name: str
) -> Recording:
    """Drives from a recorded frame on.

    The vehicle that the ego replaces is one that appears after the end, or else the last to
    appear, and stands far away, so that nobody is missing.  What is outside the recorded section
    is left out: the roads of some recordings go on.

    Args:
        traffic: of the scene.
        scene: of this recording alone.
        recording: where vehicles begin and enter.
        first_frame: where they begin.
        frames: to drive.
        name: of the traffic, for the provenance.

    Raises:
        InputError: the recording is too short.
    """
    if not 0 <= first_frame < first_frame + frames < recording.frames:
        raise InputError(
            f"recording '{recording.name}': {recording.frames} frames; {frames} from frame "
            f"{first_frame} on are too many, give a smaller --seconds or --start"
        )
    ego = scene.first_frame.argsort(stable=True)[-1:]
    env, frame = torch.zeros(1, dtype=torch.int64), torch.tensor([first_frame])
    place = torch.tensor([[float(recording.x_m.min()), float(recording.y_m.min()) - _AWAY_M]])
    away = torch.cat([place, torch.tensor([[0.0, 4.5, 1.8]])], dim=1)
    traffic.reset(env, ego, frame)
    rows: list[np.ndarray] = []
    for step in range(frames + 1):
        others = traffic.neighbours(env, ego, frame)
        valid = others.valid[0]
        number = others.vehicle[0][valid].double()
        table = torch.cat(
            [
                number[:, None], torch.full_like(number, step)[:, None],
                others.boxes[0][valid], others.speed_mps[0][valid][:, None],
            ],
            dim=1,
        )  # fmt: skip
        rows.append(table.numpy())
        if step < frames:
            frame = frame + 1
            if traffic.reacts:
                traffic.advance(env, frame, away, torch.zeros(1))
    return _recorded(np.concatenate(rows), recording, name, first_frame)


def _recorded(rows: np.ndarray, recording: Recording, name: str, first_frame: int) -> Recording:
    """Rows of number, frame, x, y, heading, length, width and speed, as a recording."""
    rows = rows[_inside(rows[:, 2], recording.x_m) & _inside(rows[:, 3], recording.y_m)]
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    rows = rows[_first_stretch(rows)]
    number, first = np.unique(rows[:, 0].astype(np.int64), return_index=True)
    frame, x, y, heading, length, width, speed = rows.T[1:]
    provenance = {
        "source": "eval.traffic",
        "synthetic": True,
        "others": name,
        "recording": recording.name,
        "recording_hash": recording.content_hash,
        "first_frame": first_frame,
    }
    carpool = recording.provenance.get("carpool_lane")
    return Recording(
        frame=frame, x_m=x, y_m=y, heading_rad=heading, speed_mps=speed,
        vehicle_pointer=np.append(first, len(rows)),
        vehicle_id=recording.vehicle_id[number],
        length_m=length[first], width_m=width[first],
        road=recording.road, dt_s=recording.dt_s, name=f"{recording.name} {name}",
        provenance=provenance if carpool is None else provenance | {"carpool_lane": carpool},
    )  # fmt: skip


def _inside(values: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    return (values >= recorded.min() - _MARGIN_M) & (values <= recorded.max() + _MARGIN_M)


def _first_stretch(rows: np.ndarray) -> np.ndarray:
    """Whether rows, sorted by vehicle and frame, are before the first gap of their vehicle."""
    begins = np.diff(rows[:, 0], prepend=-1) != 0
    gap = (np.diff(rows[:, 1], prepend=0) != 1) & ~begins
    gaps = np.cumsum(gap)
    at_begin = gaps[begins]
    return gaps == at_begin[np.cumsum(begins) - 1]
