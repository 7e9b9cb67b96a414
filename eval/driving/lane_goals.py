"""Goals by rule: so many lanes to the side of where a scenario starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from envs.core.scenario import Scenarios
from ppuu.perception.goal import NODE_SPACING_M, Goal
from ppuu.recordings.polyline import arc_length_m
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

_NODES = 100
_BEHIND = 5
"""Nodes of the line behind the start."""


def goals_beside(
    scene: Scene,
    recordings: Sequence[Recording],
    scenarios: Scenarios,
    lanes: int,
    distance_m: float,
) -> Goal:
    """The lane so many lanes to the right (even entries) or left (odd ones), within a distance.

    Where the road has no such lane it is on the other side, or else the outermost there.

    Raises:
        InputError: the road has no lanes.
    """
    lines, ends = [], []
    for number in range(len(scenarios)):
        index, vehicle = int(scenarios.recording[number]), int(scenarios.vehicle[number])
        recording = recordings[index]
        road, row = recording.road, recording.vehicle_pointer[vehicle]
        row += int(scenarios.start_frame[number]) - int(recording.frame[row])
        here = np.array([recording.x_m[row], recording.y_m[row]])
        if not road.lanes:
            raise InputError(f"recording '{recording.name}': its road has no lanes to change to")
        lane, shift = int(road.lane_index(here[None])[0]), lanes if number % 2 == 0 else -lanes
        if not 0 <= lane + shift < road.lanes:
            shift = -shift
        line = _centre(*road.lane(min(max(lane + shift, 0), road.lanes - 1)))
        beside = int(np.hypot(*(line - here).T).argmin())
        first = max(0, beside - _BEHIND)
        lines.append(_of_length(line[first:], _NODES))
        ends.append((beside - first) * NODE_SPACING_M + distance_m)
    return Goal(
        torch.tensor(np.array(lines), dtype=torch.float32, device=scene.boxes.device),
        torch.tensor(ends, dtype=torch.float32, device=scene.boxes.device),
        torch.ones(len(scenarios), dtype=torch.bool, device=scene.boxes.device),
    )


def _centre(left_m: np.ndarray, right_m: np.ndarray) -> np.ndarray:
    """Middle of a lane at the spacing of goals."""
    centre = 0.5 * (left_m + right_m)
    station = arc_length_m(centre)
    nodes = np.arange(0.0, station[-1], NODE_SPACING_M)
    return np.stack([np.interp(nodes, station, axis) for axis in centre.T], axis=1)


def _of_length(line: np.ndarray, nodes: int) -> np.ndarray:
    """The first nodes of a line, which goes on straight if it is shorter."""
    line = line[:nodes]
    step = line[-1] - line[-2]
    return np.concatenate([line, line[-1] + step * np.arange(1, nodes - len(line) + 1)[:, None]])
