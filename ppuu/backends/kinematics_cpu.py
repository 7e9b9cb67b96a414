"""The scan over time of ``kinematics.rollout`` for one processor core, compiled by numba."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel


@kernel(smallest_part=256)  # rows
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def rollout(state, actions, out, dt, held):
    """States after each action.

    Args:
        state: ``(rows, 4)`` at the beginning.
        actions: ``(rows, time, 2)``.
        out: ``(rows, time, 4)`` to write.
        dt: seconds a frame.
        held: frames for which each action is held.
    """
    for r in range(len(state)):
        x, y, heading, speed = state[r]
        for t in range(actions.shape[1]):
            acceleration, curvature = actions[r, t]
            for _ in range(held):
                after = max(speed + acceleration * dt, 0.0)
                distance = 0.5 * (speed + after) * dt
                turn = curvature * distance
                x += distance * math.cos(heading + 0.5 * turn)
                y += distance * math.sin(heading + 0.5 * turn)
                heading += turn
                speed = after
            out[r, t, 0], out[r, t, 1], out[r, t, 2], out[r, t, 3] = x, y, heading, speed


@kernel(smallest_part=256)  # rows
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def rollout_gradient(state, actions, gradient, to_state, to_actions, dt, held):
    """The gradient of ``rollout``: of repeated ``kinematics.step``, at standstill as well.

    Args:
        state, actions, dt, held: as of ``rollout``.
        gradient: ``(rows, time, 4)`` by the states.
        to_state: ``(rows, 4)`` to write.
        to_actions: ``(rows, time, 2)`` to write.
    """
    frames = actions.shape[1] * held
    speeds, middles = np.empty(frames + 1), np.empty(frames)
    for r in range(len(state)):
        heading, speeds[0] = state[r, 2], state[r, 3]
        for f in range(frames):
            acceleration, curvature = actions[r, f // held]
            speeds[f + 1] = max(speeds[f] + acceleration * dt, 0.0)
            turn = curvature * 0.5 * (speeds[f] + speeds[f + 1]) * dt
            middles[f] = heading + 0.5 * turn
            heading += turn
        g_x, g_y, g_heading, g_speed = 0.0, 0.0, 0.0, 0.0
        for t in range(actions.shape[1] - 1, -1, -1):
            g_x += gradient[r, t, 0]
            g_y += gradient[r, t, 1]
            g_heading += gradient[r, t, 2]
            g_speed += gradient[r, t, 3]
            acceleration, curvature = actions[r, t]
            g_acceleration, g_curvature = 0.0, 0.0
            for f in range((t + 1) * held - 1, t * held - 1, -1):
                cos, sin = math.cos(middles[f]), math.sin(middles[f])
                distance = 0.5 * (speeds[f] + speeds[f + 1]) * dt
                g_middle = distance * (cos * g_y - sin * g_x)
                g_turn = g_heading + 0.5 * g_middle
                g_distance = cos * g_x + sin * g_y + curvature * g_turn
                g_curvature += distance * g_turn
                g_heading += g_middle
                # Clamped only if it would have reversed; at rest it can pull away.
                g_after = 0.0
                if speeds[f] + acceleration * dt >= 0.0:
                    g_after = g_speed + 0.5 * dt * g_distance
                g_acceleration += dt * g_after
                g_speed = 0.5 * dt * g_distance + g_after
            to_actions[r, t, 0], to_actions[r, t, 1] = g_acceleration, g_curvature
        to_state[r, 0], to_state[r, 1] = g_x, g_y
        to_state[r, 2], to_state[r, 3] = g_heading, g_speed
