"""The loops of ``envs.core.termination`` that decide on roads and endings, compiled by numba."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel
from .raster_cpu import coverage

f32 = np.float32
_OFFROAD_CHANNEL = 1


@kernel(smallest_part=2048)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def off_the_road(box, road, lost, nodes, per_metre, offset, low, high):
    """Whether the centre and one of the flanks lie off the drivable area.

    Args:
        box: ``(envs, 5)``.
        road: ``(envs,)``.
        lost: ``(envs,)`` the result.
        nodes, per_metre, offset, low, high: of the road map (``ppuu.backends.raster_cpu``).
    """
    for e in range(len(box)):
        k = road[e]
        lost[e] = is_off_the_road(box[e], nodes, per_metre, offset[k], low[k], high[k])


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def is_off_the_road(box, nodes, per_metre, offset, low, high):
    """The same of one box on its road."""
    cos, sin = f32(math.cos(box[2])), f32(math.sin(box[2]))
    off = False
    for flank in (f32(0.0), f32(0.5), f32(-0.5)):
        across = box[4] * flank
        x = (box[0] - sin * across) * per_metre + offset[0]
        y = (box[1] + cos * across) * per_metre + offset[1]
        x, y = min(max(x, low[0]), high[0]), min(max(y, low[1]), high[1])
        off = coverage(nodes, x, y, _OFFROAD_CHANNEL) > f32(0.5)
        if (flank == 0) != off:
            return off  # the centre is on the road, or a flank is off it, too
    return False


@kernel(smallest_part=2048)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def outcomes(state, frame, end_frame, has_goal, goal_pose, lost, collided, outcome, codes):
    """How each episode stands.

    Args:
        state: ``(envs, 4)``.
        frame, end_frame, has_goal, lost, collided: ``(envs,)``.
        goal_pose: ``(envs, 3)``, NaN where there is no line.
        outcome: ``(envs,)`` the result.
        codes: numbers of running, arrived, survived, timeout, collision and off the road.
    """
    for e in range(len(state)):
        outcome[e] = outcome_of(
            state[e], frame[e] >= end_frame[e], has_goal[e], goal_pose[e], lost[e], collided[e],
            codes,
        )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def outcome_of(state, late, has_goal, goal_pose, lost, collided, codes):
    """One episode's; of several endings at once the first that is tested here."""
    running, arrived, survived, timeout, collision, offroad = codes
    x, y = state[0] - goal_pose[0], state[1] - goal_pose[1]
    through = x * math.cos(goal_pose[2]) + y * math.sin(goal_pose[2]) >= 0
    if collided:
        return collision
    if lost and (has_goal or not through):
        return offroad
    if through:
        return arrived if has_goal else survived
    if late:
        return timeout if has_goal else survived
    return running
