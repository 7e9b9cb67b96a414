"""The loops of ``envs.termination`` that decide on roads and endings, compiled by numba."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ppuu.raster_cpu import coverage

SMALLEST_PART = 2048
"""Environments; another thread for fewer costs more than it decides."""

f32 = np.float32
_OFFROAD_CHANNEL = 1


@njit(nogil=True, error_model="numpy", cache=True)
def off_the_road(box, road, lost, nodes, per_metre, offset, low, high):
    """Whether the centre and one of the flanks lie off the drivable area.

    Args:
        box: ``(envs, 5)``.
        road: ``(envs,)``.
        lost: ``(envs,)`` the result.
        nodes, per_metre, offset, low, high: of the road map (``ppuu.raster_cpu``).
    """
    off = np.empty(3, np.bool_)
    for e in range(len(box)):
        k = road[e]
        cos, sin = f32(math.cos(box[e, 2])), f32(math.sin(box[e, 2]))
        for place in range(3):
            across = box[e, 4] * (f32(0.0), f32(0.5), f32(-0.5))[place]
            x = (box[e, 0] - sin * across) * per_metre + offset[k, 0]
            y = (box[e, 1] + cos * across) * per_metre + offset[k, 1]
            x, y = min(max(x, low[k, 0]), high[k, 0]), min(max(y, low[k, 1]), high[k, 1])
            off[place] = coverage(nodes, x, y, _OFFROAD_CHANNEL) > f32(0.5)
        lost[e] = off[0] and (off[1] or off[2])


@njit(nogil=True, error_model="numpy", cache=True)
def outcomes(state, frame, end_frame, has_goal, goal_pose, lost, collided, outcome, codes):
    """How each episode stands; of several endings at once the first that is listed here.

    Args:
        state: ``(envs, 4)``.
        frame, end_frame, has_goal, lost, collided: ``(envs,)``.
        goal_pose: ``(envs, 3)``, NaN where there is no line.
        outcome: ``(envs,)`` the result.
        codes: numbers of running, arrived, survived, timeout, collision and off the road.
    """
    running, arrived, survived, timeout, collision, offroad = codes
    for e in range(len(state)):
        x, y = state[e, 0] - goal_pose[e, 0], state[e, 1] - goal_pose[e, 1]
        through = x * math.cos(goal_pose[e, 2]) + y * math.sin(goal_pose[e, 2]) >= 0
        if collided[e]:
            outcome[e] = collision
        elif lost[e] and (has_goal[e] or not through):
            outcome[e] = offroad
        elif through:
            outcome[e] = arrived if has_goal[e] else survived
        elif frame[e] >= end_frame[e]:
            outcome[e] = timeout if has_goal[e] else survived
        else:
            outcome[e] = running
