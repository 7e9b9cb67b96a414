"""The ego's motion under the limits of a vehicle, for one processor core, compiled by numba."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel

_SLOWEST = 1e-3


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _steer(tangent, turn, largest):
    """The tangent of the wheels' angle after a turn to the left, and its slope by the first."""
    free = max(1.0 - tangent * turn, 1e-3)
    turned = (tangent + turn) / free
    if turned >= largest:
        return largest, 0.0
    return turned, (1.0 + turn * turn) / (free * free)


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def project_one(
    acceleration, curvature, before, speed, grip, power, top, braking, wheelbase, largest, turn, dt
):
    """The feasible action, and its slopes.

    Args:
        acceleration, curvature: asked for.
        before: the curvature before.
        speed: at the beginning of the frame.
        grip, power, top, braking, wheelbase, largest: limits, see ``VehicleLimits``.
        turn: tangent of the largest turn of the wheels in a frame.
        dt: seconds a frame.

    Returns:
        acceleration and curvature, then the slopes of the acceleration, and those of the
        curvature, by the first four arguments.
    """
    # What the wheels can be steered to, and what tyres hold; _b and _v are slopes by the curvature
    # before and by the speed.
    steered, steered_b = wheelbase * before, wheelbase
    if abs(steered) > largest:
        steered, steered_b = math.copysign(largest, steered), 0.0
    high, high_b = _steer(steered, turn, largest)
    low, low_b = _steer(-steered, turn, largest)
    high, high_b = high / wheelbase, high_b * steered_b / wheelbase
    low, low_b = -low / wheelbase, low_b * steered_b / wheelbase
    high_v, low_v, square = 0.0, 0.0, speed * speed
    held, held_v = grip / _SLOWEST**2, 0.0
    if square > _SLOWEST**2:
        held, held_v = grip / square, -2.0 * grip / (square * speed)
    if abs(high) > held:
        high, high_b, high_v = math.copysign(held, high), 0.0, math.copysign(1.0, high) * held_v
    if abs(low) > held:
        low, low_b, low_v = math.copysign(held, low), 0.0, math.copysign(1.0, low) * held_v
    k, k_k, k_v, k_b = curvature, 1.0, 0.0, 0.0
    if curvature < low:
        k, k_k, k_v, k_b = low, 0.0, low_v, low_b
    elif curvature > high:
        k, k_k, k_v, k_b = high, 0.0, high_v, high_b
    # Brakes, power and top speed.
    gain, gain_v = power / _SLOWEST, 0.0
    if speed > _SLOWEST:
        gain, gain_v = power / speed, -power / square
    if top - speed < gain * dt:
        gain, gain_v = (top - speed) / dt, -1.0 / dt
        if gain < 0.0:
            gain, gain_v = 0.0, 0.0
    a, a_a, a_v = acceleration, 1.0, 0.0
    if acceleration < -braking:
        a, a_a, a_v = -braking, 0.0, 0.0
    elif acceleration > gain:
        a, a_a, a_v = gain, 0.0, gain_v
    # The friction circle.
    across = k * square
    demand = a * a + across * across
    if demand <= grip * grip:
        return a, k, a_a, 0.0, 0.0, a_v, 0.0, k_k, k_b, k_v
    total = math.sqrt(demand)
    scale = grip / total
    # Slopes of the scale by acceleration, curvature, curvature before and speed.
    by_a, by_k = -scale * a / demand, -scale * across * square / demand
    s_a, s_k, s_b = by_a * a_a, by_k * k_k, by_k * k_b
    s_v = by_a * a_v + by_k * k_v - scale * across * 2.0 * k * speed / demand
    scaled = scale * k
    if low <= scaled <= high:
        return (
            scale * a, scaled,
            scale * a_a + s_a * a, s_k * a, s_b * a, scale * a_v + s_v * a,
            s_a * k, scale * k_k + s_k * k, scale * k_b + s_b * k, scale * k_v + s_v * k,
        )  # fmt: skip
    # The wheels cannot be turned back so fast: what is left for acceleration.
    k, k_b, k_v = low, low_b, low_v
    if scaled > high:
        k, k_b, k_v = high, high_b, high_v
    across = k * square
    left = (grip - across) * (grip + across)
    room = math.sqrt(max(left, 1e-9))
    if abs(a) <= room:
        return a, k, a_a, 0.0, 0.0, a_v, 0.0, 0.0, k_b, k_v
    room_b, room_v = 0.0, 0.0
    if left > 1e-9:
        room_b = -across * square * k_b / room
        room_v = -across * (square * k_v + 2.0 * k * speed) / room
    sign = math.copysign(1.0, a)
    return sign * room, k, 0.0, 0.0, sign * room_b, sign * room_v, 0.0, 0.0, k_b, k_v


@kernel(smallest_part=256)  # rows
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def project(action, previous, speed, limits, out, dt):
    """``VehicleLimits.project``.

    Args:
        action, previous: ``(rows, 2)`` asked for now, done in the frame before.
        speed: ``(rows,)``.
        limits: ``(rows, 7)``, see ``VehicleLimits``.
        out: ``(rows, 2)`` to write.
        dt: seconds a frame.
    """
    for r in range(len(action)):
        grip, power, top, braking, wheelbase, largest, rate = limits[r]
        feasible = project_one(
            action[r, 0], action[r, 1], previous[r, 1], speed[r], grip, power, top, braking,
            wheelbase, largest, math.tan(rate * dt), dt,
        )  # fmt: skip
        out[r, 0], out[r, 1] = feasible[0], feasible[1]


@kernel(smallest_part=256)  # rows
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def drive(state, actions, previous, limits, out, done, last, dt, held):
    """States after each action, and what was done.

    Args:
        state: ``(rows, 4)`` at the beginning.
        actions: ``(rows, time, 2)`` asked for.
        previous: ``(rows, 2)`` done in the frame before.
        limits: ``(rows, 7)``, see ``VehicleLimits``.
        out, done, last: ``(rows, time, 4)``, ``(rows, time, 2)`` and ``(rows, 2)`` to write.
        dt: seconds a frame.
        held: frames for which each action is held.
    """
    for r in range(len(state)):
        x, y, heading, speed = state[r]
        grip, power, top, braking, wheelbase, largest, rate = limits[r]
        turn = math.tan(rate * dt)
        acceleration, curvature = previous[r]
        for t in range(actions.shape[1]):
            gained, turned = 0.0, 0.0
            for _ in range(held):
                feasible = project_one(
                    actions[r, t, 0], actions[r, t, 1], curvature, speed, grip, power, top,
                    braking, wheelbase, largest, turn, dt,
                )  # fmt: skip
                acceleration, curvature = feasible[0], feasible[1]
                gained += acceleration
                turned += curvature
                after = max(speed + acceleration * dt, 0.0)
                distance = 0.5 * (speed + after) * dt
                bend = curvature * distance
                x += distance * math.cos(heading + 0.5 * bend)
                y += distance * math.sin(heading + 0.5 * bend)
                heading += bend
                speed = after
            out[r, t, 0], out[r, t, 1], out[r, t, 2], out[r, t, 3] = x, y, heading, speed
            done[r, t, 0], done[r, t, 1] = gained / held, turned / held
        last[r, 0], last[r, 1] = acceleration, curvature


@kernel(smallest_part=256)  # rows
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def drive_gradient(
    state, actions, previous, limits, to_out, to_done, to_last, to_state, to_actions, to_previous,
    dt, held,
):  # fmt: skip
    """The gradient of ``drive``.

    Args:
        state, actions, previous, limits, dt, held: as of ``drive``.
        to_out, to_done, to_last: gradients by its results.
        to_state, to_actions, to_previous: ``(rows, 4)``, ``(rows, time, 2)`` and ``(rows, 2)`` to
            write.
    """
    frames = actions.shape[1] * held
    speeds, middles, feasible = np.empty(frames + 1), np.empty(frames), np.empty((frames, 10))
    for r in range(len(state)):
        heading, speeds[0], curvature = state[r, 2], state[r, 3], previous[r, 1]
        grip, power, top, braking, wheelbase, largest, rate = limits[r]
        turn = math.tan(rate * dt)
        for f in range(frames):
            feasible[f] = project_one(
                actions[r, f // held, 0], actions[r, f // held, 1], curvature, speeds[f], grip,
                power, top, braking, wheelbase, largest, turn, dt,
            )  # fmt: skip
            curvature = feasible[f, 1]
            speeds[f + 1] = max(speeds[f] + feasible[f, 0] * dt, 0.0)
            bend = curvature * 0.5 * (speeds[f] + speeds[f + 1]) * dt
            middles[f] = heading + 0.5 * bend
            heading += bend
        g_x, g_y, g_heading, g_speed = 0.0, 0.0, 0.0, 0.0
        later_acceleration, later_curvature = to_last[r, 0] + 0.0, to_last[r, 1] + 0.0
        for t in range(actions.shape[1] - 1, -1, -1):
            g_x += to_out[r, t, 0]
            g_y += to_out[r, t, 1]
            g_heading += to_out[r, t, 2]
            g_speed += to_out[r, t, 3]
            asked_acceleration, asked_curvature = 0.0, 0.0
            for f in range((t + 1) * held - 1, t * held - 1, -1):
                acceleration, curvature = feasible[f, 0], feasible[f, 1]
                cos, sin = math.cos(middles[f]), math.sin(middles[f])
                distance = 0.5 * (speeds[f] + speeds[f + 1]) * dt
                g_middle = distance * (cos * g_y - sin * g_x)
                g_turn = g_heading + 0.5 * g_middle
                g_distance = cos * g_x + sin * g_y + curvature * g_turn
                g_heading += g_middle
                # Clamped only if it would have reversed; at rest it can pull away.
                g_after = 0.0
                if speeds[f] + acceleration * dt >= 0.0:
                    g_after = g_speed + 0.5 * dt * g_distance
                g_acceleration = later_acceleration + to_done[r, t, 0] / held + dt * g_after
                g_curvature = later_curvature + to_done[r, t, 1] / held + distance * g_turn
                _, _, a_a, a_k, a_b, a_v, k_a, k_k, k_b, k_v = feasible[f]
                asked_acceleration += a_a * g_acceleration + k_a * g_curvature
                asked_curvature += a_k * g_acceleration + k_k * g_curvature
                g_speed = 0.5 * dt * g_distance + g_after
                g_speed += a_v * g_acceleration + k_v * g_curvature
                later_curvature = a_b * g_acceleration + k_b * g_curvature
                later_acceleration = 0.0
            to_actions[r, t, 0], to_actions[r, t, 1] = asked_acceleration, asked_curvature
        to_state[r, 0], to_state[r, 1] = g_x, g_y
        to_state[r, 2], to_state[r, 3] = g_heading, g_speed
        to_previous[r, 0], to_previous[r, 1] = later_acceleration, later_curvature
