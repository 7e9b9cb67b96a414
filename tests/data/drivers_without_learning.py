"""What simple drivers achieve on a recording: the measure of how hard generated traffic is.

Its own small replay, in numpy, so that the generator can be tuned and tested without the
simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ppuu.driving.idm import IdmParameters, idm_acceleration
from ppuu.geometry import boxes_overlap
from ppuu.recordings.recording import Recording

CONTEXT_FRAMES = 10
GOAL_M = 215.0
TIMEOUT_S = 90.0
_NEAR_M = 22.0

IDM_EGO = IdmParameters(30.0, 1.0, 2.0, 1.5, 2.0)


@dataclass(frozen=True, eq=False)
class Episodes:
    """Vehicles that travel ``GOAL_M`` after their context; all arrays ``(episodes,)``."""

    vehicle: np.ndarray
    start_frame: np.ndarray
    start: np.ndarray
    goal: np.ndarray


def episodes(recording: Recording) -> Episodes:
    """Finds them; ``start`` and ``goal`` are states ``(episodes, 4)`` of the human."""
    found = []
    for vehicle in range(recording.vehicles):
        track = recording.track(vehicle)[CONTEXT_FRAMES:]
        if not len(track):
            continue
        way = np.cumsum(np.hypot(*np.diff(track[:, :2], axis=0).T))
        reached = np.flatnonzero(way >= GOAL_M)
        if len(reached):
            found.append((vehicle, track[0], track[reached[0] + 1]))
    vehicle = np.array([row[0] for row in found])
    return Episodes(
        vehicle,
        recording.first_frame[vehicle] + CONTEXT_FRAMES,
        np.stack([row[1] for row in found]),
        np.stack([row[2] for row in found]),
    )


def success(recording: Recording, chosen: Episodes, driver: str) -> np.ndarray:
    """Whether a driver reaches the goal line with the others replayed: ``(episodes,)`` bool.

    Args:
        recording: the traffic.
        chosen: its episodes.
        driver: ``"none"`` keeps velocity and heading, ``"idm"`` follows whoever is ahead in its
            path, straight on, ``"human"`` replays the track.
    """
    order, pointer = recording.rows_by_frame
    size = np.stack([recording.length_m, recording.width_m], 1).astype(float)
    state = chosen.start.copy()
    running = np.ones(len(state), bool)
    reached = np.zeros(len(state), bool)
    goal_direction = np.stack([np.cos(chosen.goal[:, 2]), np.sin(chosen.goal[:, 2])], 1)
    for step in range(1, round(TIMEOUT_S / recording.dt_s)):
        egos = np.flatnonzero(running)
        if not len(egos):
            break
        if driver == "idm":
            ego, row = _near(recording, chosen, egos, step - 1, order, pointer, state, 80.0)
            _follow(recording, chosen, egos, ego, row, size, state)
        if driver == "human":
            rows = recording.vehicle_pointer[chosen.vehicle[egos]] + CONTEXT_FRAMES + step
            state[egos] = np.stack(
                [recording.x_m[rows], recording.y_m[rows], recording.heading_rad[rows],
                 recording.speed_mps[rows]], 1,
            )  # fmt: skip
        else:
            along = state[egos, 3] * recording.dt_s
            state[egos, 0] += along * np.cos(state[egos, 2])
            state[egos, 1] += along * np.sin(state[egos, 2])
        ego, row = _near(recording, chosen, egos, step, order, pointer, state, _NEAR_M)
        crashed = np.zeros(len(state), bool)
        mine = np.concatenate([state[ego, :3], size[chosen.vehicle[ego]]], 1)
        theirs = np.stack([recording.x_m[row], recording.y_m[row], recording.heading_rad[row]], 1)
        theirs = np.concatenate([theirs, size[recording.row_vehicle[row]]], 1)
        hit = boxes_overlap(torch.tensor(mine), torch.tensor(theirs)).numpy()
        crashed[ego[hit]] = True
        crashed[egos] |= ~recording.road.drivable(state[egos, :2])
        there = ((state[:, :2] - chosen.goal[:, :2]) * goal_direction).sum(1) >= 0
        reached |= running & there & ~crashed
        running &= ~(crashed | there)
    return reached


def _near(recording, chosen, egos, step, order, pointer, state, reach_m):
    """Pairs (episode, row) of egos and replayed others close to them."""
    frame = chosen.start_frame[egos] + step
    frame = np.minimum(frame, recording.frames)
    last = np.append(pointer, pointer[-1])
    first, count = last[frame], last[frame + 1] - last[frame]
    ego = np.repeat(egos, count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    row = order[np.repeat(first, count) + offset]
    close = np.abs(recording.x_m[row] - state[ego, 0]) < reach_m
    close &= np.abs(recording.y_m[row] - state[ego, 1]) < _NEAR_M
    close &= recording.row_vehicle[row] != chosen.vehicle[ego]
    return ego[close], row[close]


def _follow(recording, chosen, egos, ego, row, size, state):
    other = recording.row_vehicle[row]
    dx, dy = recording.x_m[row] - state[ego, 0], recording.y_m[row] - state[ego, 1]
    cos, sin = np.cos(state[ego, 2]), np.sin(state[ego, 2])
    ahead, left = dx * cos + dy * sin, dy * cos - dx * sin
    own = size[chosen.vehicle[ego]]
    blocking = (ahead > 0) & (np.abs(left) < 0.5 * (own[:, 1] + size[other, 1]) + 0.3)
    gap = np.where(blocking, ahead - 0.5 * (own[:, 0] + size[other, 0]), np.inf)
    wanted = np.full(len(state), np.inf)
    response = idm_acceleration(IDM_EGO, state[ego, 3], gap, recording.speed_mps[row])
    np.minimum.at(wanted, ego, response)
    no_leader = np.full(len(egos), np.inf)
    free = idm_acceleration(IDM_EGO, state[egos, 3], no_leader, state[egos, 3])
    acceleration = np.clip(np.minimum(wanted[egos], free), -8.0, 1.5)
    state[egos, 3] = np.maximum(state[egos, 3] + acceleration * recording.dt_s, 0.0)


def overlapping_rows(recording: Recording) -> int:
    """Number of (pair, frame) in which two recorded boxes overlap."""
    order = np.lexsort((recording.x_m, recording.frame))
    pose = np.stack([recording.x_m, recording.y_m, recording.heading_rad], 1)
    size = np.stack([recording.length_m, recording.width_m], 1)[recording.row_vehicle]
    box, frame = np.concatenate([pose, size], 1)[order], recording.frame[order]
    total = 0
    # Sorted by x within a frame, those who can touch are a few places apart.
    for shift in range(1, len(order)):
        a, b = box[:-shift], box[shift:]
        close = (frame[:-shift] == frame[shift:]) & (b[:, 0] - a[:, 0] < _NEAR_M)
        if not close.any():
            break
        close &= np.abs(b[:, 1] - a[:, 1]) < _NEAR_M / 2
        total += int(boxes_overlap(torch.tensor(a[close]), torch.tensor(b[close])).sum())
    return total
