"""``info``: numbers of every episode, and on request the names behind its codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch

from ..core.simulator import Simulator
from ..core.termination import SUCCESSES, CollisionKind, Outcome

InfoLevel = Literal["numbers", "full", "none"]
"""Numbers and flags alone; with the names as well; or nothing, for trainers that read no info."""

OUTCOME_NAMES = tuple(outcome.name.lower() for outcome in Outcome)
"""By ``info["outcome"]``."""
COLLISION_KIND_NAMES = tuple(kind.name.lower() for kind in CollisionKind)
"""By ``info["collision_kind"]``."""

_IS_SUCCESS = np.isin([int(outcome) for outcome in Outcome], SUCCESSES)
_FLAGS = {
    name: int(Outcome[name.upper()])
    for name in ("collision", "offroad", "arrived", "missed", "stalled", "wrong_way", "timeout")
}


def numbers(simulator: Simulator) -> dict[str, np.ndarray]:
    """How the episodes stand: one array a key, one element an episode.

    Two transfers from the simulator's device, whatever the number of keys.
    """
    scene = simulator.scene
    first = scene.frame_offset[simulator.road]
    start = simulator.start_frame
    outcome, kind, at_fault, start_frame, frame, steps = torch.stack(
        [
            simulator.outcome, simulator.collision_kind, simulator.at_fault.long(),
            start - first, simulator.frame - first, simulator.frame - start,
        ]
    ).numpy(force=True)  # fmt: skip
    speed, distance, progress, human, clearance, collision = (
        torch.stack(
            [
                simulator.state[:, 3], simulator.distance_m, simulator.progress_m,
                simulator.human_distance_m, simulator.clearance_m, simulator.time_to_collision_s,
            ]
        ).double().numpy(force=True)
    )  # fmt: skip
    return {
        "outcome": outcome,
        "collision_kind": kind,
        "at_fault": at_fault.astype(bool),
        "is_success": _IS_SUCCESS[outcome],
        **{name: outcome == code for name, code in _FLAGS.items()},
        "speed_mps": speed,
        "distance_m": distance,
        "progress_m": progress,
        "human_progress_m": human,
        "clearance_m": clearance,
        "time_to_collision_s": collision,
        "time_s": steps * scene.dt_s,
        "start_frame": start_frame,
        "frame": frame,
    }


def with_names(
    info: Mapping[str, np.ndarray], recording_names: Sequence[str], level: InfoLevel
) -> dict[str, np.ndarray]:
    """The info and, if it is to be full, names of outcomes, kinds of collision and recordings."""
    if level != "full":
        return dict(info)
    tables = {
        "outcome": OUTCOME_NAMES,
        "collision_kind": COLLISION_KIND_NAMES,
        "recording": recording_names,
    }
    named = {
        f"{key}_name": np.array(table, object)[info[key]]
        for key, table in tables.items()
        if key in info
    }
    return {**info, **named}
