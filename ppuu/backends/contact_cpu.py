"""The kernel of ``envs.core.termination.contact`` for one processor core, compiled by numba.

The formulas are those of ``ppuu.geometry``, one pair of boxes at a time.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel

f32 = np.float32
_NEVER = f32(np.inf)


@kernel(smallest_part=64)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def contact(
    ego_box, ego_speed, row, ego, kind, at_fault, hit, gap_m, soonest_s,
    boxes, speed, occupant, nearest, kinds,
):  # fmt: skip
    """Writes which vehicle touches each ego, how far the nearest box is and when the first is met.

    Args:
        ego_box, ego_speed: ``(envs, 5)`` and ``(envs,)``.
        row: ``(envs,)`` of the tables below.
        ego: ``(envs,)`` the vehicle to pass over.
        kind, at_fault, hit, gap_m, soonest_s: ``(envs,)`` the results.
        boxes, speed, occupant: ``(rows, slots, 5)``, ``(rows, slots)`` and ``(rows, slots)``.
        nearest: for how many vehicles the time to collision is computed.
        kinds: numbers of none, front, rear and side.
    """
    slot, bound = np.empty(nearest, np.int64), np.empty(nearest, np.float32)
    for e in range(len(row)):
        r = row[e]
        kind[e], at_fault[e], hit[e], gap_m[e], soonest_s[e] = contact_of(
            ego_box[e], ego_speed[e], ego[e], boxes[r], speed[r], occupant[r], slot, bound, kinds
        )


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def contact_of(own, own_speed, ego, table, speed, occupant, slot, bound, kinds):
    """One ego's contact: kind, fault, vehicle hit, clearance and time to collision.

    ``slot`` and ``bound`` are scratch, as long as there are candidates to test exactly.
    """
    count = _nearest_slots(own, table, occupant, ego, slot, bound)
    cos, sin = f32(math.cos(own[2])), f32(math.sin(own[2]))
    own_reach = f32(0.5) * _norm(own[3], own[4])
    gap, soonest, struck = _NEVER, _NEVER, -1
    for k in range(count):
        other, other_speed = table[slot[k]], speed[slot[k]]
        turn = _turn(own, other, cos, sin)
        if bound[k] - own_reach < gap:
            apart = _separation(own, other, turn)
            if apart >= 0:
                gap = min(gap, _distance(own, other, turn))
            elif apart < gap:
                gap, struck = apart, slot[k]
        # No sooner than the gap between the circles around both boxes allows.
        if bound[k] - own_reach < soonest * (own_speed + other_speed):
            soonest = min(soonest, _time_to_collision(own, other, own_speed, other_speed, turn))
    if count == len(slot) and bound[count - 1] - own_reach < gap:
        # Another could be nearer still: many motorcycles have room around a lorry.
        for k in range(len(table)):
            other = table[k]
            if occupant[k] < 0 or occupant[k] == ego:
                continue
            least = _norm(other[0] - own[0], other[1] - own[1])
            if least - f32(0.5) * _norm(other[3], other[4]) - own_reach < gap:
                turn = _turn(own, other, cos, sin)
                apart = _separation(own, other, turn)
                if apart >= 0:
                    gap = min(gap, _distance(own, other, turn))
                elif apart < gap:
                    gap, struck = apart, k
    if struck < 0:
        return kinds[0], False, -1, gap, soonest
    kind = _kind(own, table[struck], cos, sin, kinds)
    return kind, kind != kinds[2], occupant[struck], gap, soonest


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _nearest_slots(own, table, occupant, ego, slot, bound):
    """Fills ``slot`` with the nearest others by a lower bound of the distance; how many."""
    count = 0
    for k in range(len(table)):
        if occupant[k] < 0 or occupant[k] == ego:
            continue
        other = table[k]
        x, y = other[0] - own[0], other[1] - own[1]
        # Most are too far away even along one axis, which takes no root to see.
        if count == len(slot) and abs(x) - f32(0.5) * (other[3] + other[4]) >= bound[count - 1]:
            continue
        least = _norm(x, y) - f32(0.5) * _norm(other[3], other[4])
        if count == len(slot) and least >= bound[count - 1]:
            continue
        place = count if count < len(slot) else count - 1
        while place > 0 and bound[place - 1] > least:
            bound[place], slot[place] = bound[place - 1], slot[place - 1]
            place -= 1
        bound[place], slot[place] = least, k
        count = min(count + 1, len(slot))
    return count


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _norm(x, y):
    return np.sqrt(x * x + y * y)


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _turn(own, other, cos, sin):
    """Cosines and sines of the ego's heading, the other's, and the angle between them."""
    other_cos, other_sin = f32(math.cos(other[2])), f32(math.sin(other[2]))
    between = (cos * other_cos + sin * other_sin, cos * other_sin - sin * other_cos)
    return cos, sin, other_cos, other_sin, abs(between[0]), abs(between[1])


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _offsets(own, other, turn):
    """The other's centre in the ego's axes, and the ego's in the other's (both as distances)."""
    cos, sin, other_cos, other_sin, _, _ = turn
    x, y = other[0] - own[0], other[1] - own[1]
    return (
        cos * x + sin * y, cos * y - sin * x,
        other_cos * x + other_sin * y, other_cos * y - other_sin * x,
    )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _reach(own, other, turn):
    """Half the sum of both boxes' extents along the ego's axes, then along the other's."""
    _, _, _, _, c, s = turn
    half = f32(0.5)
    return (
        half * (own[3] + other[3] * c + other[4] * s),
        half * (own[4] + other[3] * s + other[4] * c),
        half * (other[3] + own[3] * c + own[4] * s),
        half * (other[4] + own[3] * s + own[4] * c),
    )


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _separation(own, other, turn):
    """Largest gap along the four box axes: negative, and the penetration, if they overlap."""
    offset, reach = _offsets(own, other, turn), _reach(own, other, turn)
    largest = -_NEVER
    for axis in range(4):
        largest = max(largest, abs(offset[axis]) - reach[axis])
    return largest


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def overlap(own, other):
    """Whether two boxes share area; touching is not overlap."""
    cos, sin = f32(math.cos(own[2])), f32(math.sin(own[2]))
    return _separation(own, other, _turn(own, other, cos, sin)) < 0


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _distance(own, other, turn):
    """Euclidean distance of two boxes that do not overlap: of a corner of one from the other."""
    cos, sin, other_cos, other_sin, _, _ = turn
    return min(
        _corner_distance(own, cos, sin, other, other_cos, other_sin),
        _corner_distance(other, other_cos, other_sin, own, cos, sin),
    )


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _corner_distance(box, cos, sin, other, other_cos, other_sin):
    half, least = f32(0.5), _NEVER
    for corner in range(4):
        along = half * other[3] * (f32(1) if corner < 2 else f32(-1))
        across = half * other[4] * (f32(1) if corner % 2 == 0 else f32(-1))
        x = other[0] + other_cos * along - other_sin * across - box[0]
        y = other[1] + other_sin * along + other_cos * across - box[1]
        beyond_x = max(abs(cos * x + sin * y) - half * box[3], f32(0))
        beyond_y = max(abs(cos * y - sin * x) - half * box[4], f32(0))
        least = min(least, _norm(beyond_x, beyond_y))
    return least


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _time_to_collision(own, other, own_speed, other_speed, turn):
    """Seconds until the boxes overlap if both keep velocity and heading; inf if never."""
    cos, sin, other_cos, other_sin, _, _ = turn
    vx = other_speed * other_cos - own_speed * cos
    vy = other_speed * other_sin - own_speed * sin
    velocity = (
        cos * vx + sin * vy, cos * vy - sin * vx,
        other_cos * vx + other_sin * vy, other_cos * vy - other_sin * vx,
    )  # fmt: skip
    offset, reach = _offsets(own, other, turn), _reach(own, other, turn)
    enter, leave = f32(0), _NEVER
    for axis in range(4):
        if abs(velocity[axis]) > f32(1e-12):
            first = (-reach[axis] - offset[axis]) / velocity[axis]
            last = (reach[axis] - offset[axis]) / velocity[axis]
            enter, leave = max(enter, min(first, last)), min(leave, max(first, last))
        elif abs(offset[axis]) >= reach[axis]:
            return _NEVER
    return enter if enter < leave else _NEVER


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _kind(own, other, cos, sin, kinds):
    x, y = other[0] - own[0], other[1] - own[1]
    along = (cos * x + sin * y) / (own[3] + other[3])
    across = (cos * y - sin * x) / (own[4] + other[4])
    if abs(across) > abs(along):
        return kinds[3]
    return kinds[1] if along > 0 else kinds[2]
