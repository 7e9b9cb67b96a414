"""One frame of many episodes in one compiled pass: motion, contact, road and ending.

What ``Simulator._advance`` does with tensor operations; made of the same pieces as the loops of
``envs.core.termination``.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .contact_cpu import contact_of
from .kernel import kernel
from .termination_cpu import is_off_the_road, outcome_of

f32 = np.float32


@kernel(smallest_part=64)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def advance(
    envs, actions, row, place, episodes, past, tables, road_map, dt_s, nearest, kinds, codes
):
    """Moves the named episodes by one frame and writes how they stand.

    Args:
        envs: ``(n,)`` which.
        actions: ``(n, 2)`` within the bounds.
        row: ``(n,)`` of the tables, at the new frame.
        place: ``(n,)`` becomes the index in the ring buffers of the state after the move.
        episodes: ``(envs, ...)`` arrays of the simulator, in the order they are unpacked.
        past: ``(envs * ring, 4)`` states in the rings.
        tables: boxes, speeds and vehicles of the others.
        road_map: nodes, nodes per metre, and offset, lowest and highest node of each road.
        dt_s: seconds a frame.
        nearest: candidates of contact that are tested exactly.
        kinds, codes: numbers of ``CollisionKind`` and ``Outcome``.
    """
    (
        state, action, size, frame, end_frame, vehicle, road, has_goal, goal_pose, distance,
        outcome, kind, at_fault, hit, gap, soonest, cursor,
    ) = episodes  # fmt: skip
    boxes, speeds, occupants = tables
    nodes, per_metre, offset, low, high = road_map
    slot, bound = np.empty(nearest, np.int64), np.empty(nearest, np.float32)
    box, ring = np.empty(5, np.float32), len(past) // len(state)
    for n in range(len(envs)):
        e, r = envs[n], row[n]
        action[e] = actions[n]
        frame[e] += 1
        distance[e] += _move(state[e], actions[n], dt_s)
        cursor[e] = (cursor[e] + 1) % ring
        place[n] = e * ring + cursor[e]
        past[place[n]] = state[e]
        box[:3], box[3:] = state[e, :3], size[e]
        kind[e], at_fault[e], hit[e], gap[e], soonest[e] = contact_of(
            box, state[e, 3], vehicle[e], boxes[r], speeds[r], occupants[r], slot, bound, kinds
        )
        k = road[e]
        lost = is_off_the_road(box, nodes, per_metre, offset[k], low[k], high[k])
        outcome[e] = outcome_of(
            state[e], frame[e] >= end_frame[e], has_goal[e], goal_pose[e], lost,
            kind[e] != kinds[0], codes,
        )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _move(state, action, dt_s):
    """``ppuu.kinematics.step`` in place; the distance between the two positions."""
    speed, half, x, y = state[3], f32(0.5), state[0], state[1]
    state[3] = max(speed + action[0] * dt_s, f32(0.0))
    distance = half * (speed + state[3]) * dt_s
    turn = action[1] * distance
    middle = state[2] + half * turn
    state[0] += distance * f32(math.cos(middle))
    state[1] += distance * f32(math.sin(middle))
    state[2] += turn
    return np.sqrt((state[0] - x) ** 2 + (state[1] - y) ** 2)
