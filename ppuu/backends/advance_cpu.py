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
from .motion_cpu import project_one
from .route_cpu import follow_one, lateral_of
from .termination_cpu import is_off_the_road, outcome_of

f32 = np.float32


@kernel(smallest_part=64)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def advance(
    envs, actions, row, place, episodes, past, tables, area, dt_s, nearest, kinds, codes,
    along_route, wrong_way_frames, in_lane_m,
):  # fmt: skip
    """Moves the named episodes by one frame and writes how they stand.

    Args:
        envs: ``(n,)`` which.
        actions: ``(n, 2)`` asked for; the vehicles do what they can of them.
        row: ``(n,)`` of the tables, at the new frame.
        place: ``(n,)`` becomes the index in the ring buffers of the state after the move.
        episodes: ``(envs, ...)`` arrays of the simulator, in the order they are unpacked.
        past: ``(envs * ring, 4)`` states in the rings.
        tables: boxes, speeds and vehicles of the others.
        area: tables of the ``DrivableArea``.
        dt_s: seconds a frame.
        nearest: candidates of contact that are tested exactly.
        kinds, codes: numbers of ``CollisionKind`` and ``Outcome``.
        along_route: metres between nodes of routes and lanes, and segments to look at behind and
            ahead of the last station.
        wrong_way_frames: frames of facing against the route that end an episode.
        in_lane_m: distance from its centre within which an ego is in a lane.
    """
    (
        state, action, size, frame, end_frame, vehicle, road, distance, outcome, kind, at_fault,
        hit, gap, soonest, cursor, route, goal, enough, station, progress, against, has_lane, lane,
        limits,
    ) = episodes  # fmt: skip
    boxes, speeds, occupants = tables
    corners, pieces, first_cell, origin, cells, cell_m = area
    spacing, behind, ahead = along_route
    slot, bound = np.empty(nearest, np.int64), np.empty(nearest, np.float32)
    box, ring = np.empty(5, np.float32), len(past) // len(state)
    for n in range(len(envs)):
        e, r = envs[n], row[n]
        grip, power, top, braking, wheelbase, largest, rate = limits[e]
        feasible = project_one(
            actions[n, 0], actions[n, 1], action[e, 1], state[e, 3], grip, power, top, braking,
            wheelbase, largest, math.tan(rate * dt_s), dt_s,
        )  # fmt: skip
        action[e, 0], action[e, 1] = feasible[0], feasible[1]
        frame[e] += 1
        distance[e] += _move(state[e], action[e], dt_s)
        cursor[e] = (cursor[e] + 1) % ring
        place[n] = e * ring + cursor[e]
        past[place[n]] = state[e]
        box[:3], box[3:] = state[e, :3], size[e]
        kind[e], at_fault[e], hit[e], gap[e], soonest[e] = contact_of(
            box, state[e, 3], vehicle[e], boxes[r], speeds[r], occupants[r], slot, bound, kinds
        )
        k = road[e]
        lost = is_off_the_road(box, corners, pieces, first_cell[k], origin[k], cells[k], cell_m)
        station[e], cosine = follow_one(route[e], station[e], state[e], spacing, behind, ahead)
        progress[e] = max(progress[e], station[e])
        against[e] = against[e] + 1 if cosine < 0 else 0
        late, in_lane = frame[e] >= end_frame[e], True
        if has_lane[e] and (late or station[e] >= goal[e]):  # elsewhere the lane does not matter
            in_lane = abs(lateral_of(lane[e], state[e])) <= in_lane_m
        outcome[e] = outcome_of(
            station[e], goal[e], enough[e], late, in_lane,
            against[e] >= wrong_way_frames, lost, kind[e] != kinds[0], codes,
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
