"""The costs among boxes on a map, and their gradients, for one processor core, compiled by numba.

They are what ``Contact``, ``Proximity``, ``Pace``, ``Lane`` and ``Offroad`` compute with tensor
operations, to rounding; ``among_tracks`` calls them.  A planner evaluates nothing else as often.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

SMALLEST_PART = 16
"""Rows; waking another thread for fewer takes longer than computing them."""

f32 = np.float32


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def traffic(
    states, size, others, others_size, here, contact, proximity, pace, d_contact, d_proximity,
    contact_by, proximity_by, pace_by,
):  # fmt: skip
    """Contact and proximity in each future with their gradients, and the pace of the ego's lane.

    Args:
        states: ``(rows, time, 4)`` the ego.
        size: ``(rows, 2)``.
        others: ``(rows, futures, time, slots, 4)``.
        others_size: ``(rows, slots, 2)``.
        here: ``(rows, slots)``.
        contact, proximity: ``(rows, futures, time)`` to write.
        pace: ``(rows, time)`` to write; of all lanes where nobody is in the ego's, its own speed
            where nobody is at all.
        d_contact, d_proximity: ``(rows, futures, time, 4)`` to write, by the ego's state.
        contact_by: margins along and across.
        proximity_by: headway and gap ahead, headway and gap behind, reach to the side.
        pace_by: half a lane, reach along it.
    """
    zero, one, two, half = f32(0.0), f32(1.0), f32(2.0), f32(0.5)
    margin_along, margin_across = contact_by
    headway_ahead, gap_ahead, headway_behind, gap_behind, side = proximity_by
    half_lane, lane_reach = pace_by
    futures, time, slots = others.shape[1], others.shape[2], others.shape[3]
    for r in range(len(states)):
        for t in range(time):
            x, y, heading, speed = states[r, t]
            cos, sin = f32(math.cos(heading)), f32(math.sin(heading))
            ahead_by = headway_ahead * speed + gap_ahead
            behind_by = headway_behind * speed + gap_behind
            reach_most = max(max(ahead_by, behind_by), margin_along)
            paced, count, flowing, around = zero, 0, zero, 0
            for k in range(futures):
                c, c_x, c_y, c_h = zero, zero, zero, zero
                p, p_x, p_y, p_h, p_v = zero, zero, zero, zero, zero
                for j in range(slots):
                    if not here[r, j]:
                        continue
                    east, north = others[r, k, t, j, 0] - x, others[r, k, t, j, 1] - y
                    ahead, left = cos * east + sin * north, cos * north - sin * east
                    from_middle, from_side = abs(ahead), abs(left)
                    if from_middle < lane_reach:
                        flowing += others[r, k, t, j, 3]
                        around += 1
                        if from_side < half_lane:
                            paced += others[r, k, t, j, 3]
                            count += 1
                    half_l, half_w = half * others_size[r, j, 0], half * others_size[r, j, 1]
                    widest = half_l + half_w
                    if from_middle > half * size[r, 0] + widest + reach_most:
                        continue
                    if from_side > half * size[r, 1] + widest + max(side, margin_across):
                        continue
                    turn = others[r, k, t, j, 2] - heading
                    turn_cos, turn_sin = f32(math.cos(turn)), f32(math.sin(turn))
                    sign_cos = one if turn_cos >= zero else -one
                    sign_sin = one if turn_sin >= zero else -one
                    along = half * size[r, 0] + half_l * abs(turn_cos) + half_w * abs(turn_sin)
                    across = half * size[r, 1] + half_l * abs(turn_sin) + half_w * abs(turn_cos)
                    along_h = half_l * sign_cos * turn_sin - half_w * sign_sin * turn_cos
                    across_h = half_w * sign_cos * turn_sin - half_l * sign_sin * turn_cos
                    front = one if ahead > zero else -one
                    flank = one if left > zero else -one
                    # Gradients of the two gaps (centre distance less extents) by x, y, heading.
                    along_gap, across_gap = from_middle - along, from_side - across
                    ag_x, ag_y, ag_h = -front * cos, -front * sin, front * left - along_h
                    cg_x, cg_y, cg_h = flank * sin, -flank * cos, -flank * ahead - across_h
                    into_along, into_across = margin_along - along_gap, margin_across - across_gap
                    into = min(into_along, into_across)
                    if into > zero:
                        c += two * (into + into * into)
                        slope = -two * (one + two * into)
                        if into_along < into_across:
                            c_x, c_y, c_h = (
                                c_x + slope * ag_x,
                                c_y + slope * ag_y,
                                c_h + slope * ag_h,
                            )
                        else:
                            c_x, c_y, c_h = (
                                c_x + slope * cg_x,
                                c_y + slope * cg_y,
                                c_h + slope * cg_h,
                            )
                    reach = ahead_by if ahead > zero else behind_by
                    near, beside = one - along_gap / reach, one - across_gap / side
                    if near <= zero or beside <= zero:
                        continue
                    by_near, by_beside = zero, zero
                    if near < one:
                        by_near = -min(beside, one) / reach
                        headway = headway_ahead if ahead > zero else headway_behind
                        p_v -= by_near * along_gap / reach * headway
                    else:
                        near = one
                    if beside < one:
                        by_beside = -near / side
                    else:
                        beside = one
                    p += near * beside
                    p_x += by_near * ag_x + by_beside * cg_x
                    p_y += by_near * ag_y + by_beside * cg_y
                    p_h += by_near * ag_h + by_beside * cg_h
                contact[r, k, t], proximity[r, k, t] = c, p
                d_contact[r, k, t, 0], d_contact[r, k, t, 1] = c_x, c_y
                d_contact[r, k, t, 2], d_contact[r, k, t, 3] = c_h, zero
                d_proximity[r, k, t, 0], d_proximity[r, k, t, 1] = p_x, p_y
                d_proximity[r, k, t, 2], d_proximity[r, k, t, 3] = p_h, p_v
            if count > 0:
                pace[r, t] = paced / count
            else:
                pace[r, t] = flowing / around if around > 0 else speed


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def road(
    states, size, place, lane, offroad, d_lane, d_offroad,
    half_lane, points, margin, line_m, nodes, per_metre, offset, low, high,
):  # fmt: skip
    """Lines under the ego and the share of it that is off the road, with their gradients.

    Args:
        states: ``(rows, time, 4)`` the ego.
        size: ``(rows, 2)``.
        place: ``(rows,)`` number of the road.
        lane, offroad: ``(rows, time)`` to write.
        d_lane, d_offroad: ``(rows, time, 4)`` to write, by the ego's state.
        half_lane, points: reach of the lane's mask to a side, points across it.
        margin: what the box is inflated by.
        line_m: width of the map's lines.
        nodes, per_metre, offset, low, high: as for ``raster_cpu.read``.
    """
    zero, one, half = f32(0.0), f32(1.0), f32(0.5)
    spacing = f32(2.0) * half_lane / f32(points - 1)
    found = np.empty(3, np.float32)
    for r in range(len(states)):
        k = place[r]
        for t in range(states.shape[1]):
            heading = states[r, t, 2]
            cos, sin = f32(math.cos(heading)), f32(math.sin(heading))
            x, y = states[r, t, 0], states[r, t, 1]
            for output, gradient in ((lane, d_lane), (offroad, d_offroad)):
                output[r, t] = zero
                for i in range(4):
                    gradient[r, t, i] = zero
            for point in range(2 * points):
                across = f32(point % points) * spacing - half_lane
                weight = half * (one - abs(across) / half_lane) * spacing / line_m
                along = f32(0.25) * size[r, 0] * (one if point < points else -one)
                look(x, y, cos, sin, along, across, nodes, per_metre, offset[k], low[k], high[k],
                     np.uint32(0), found)  # fmt: skip
                add(lane[r], d_lane[r], t, weight, along, across, cos, sin, found)
            half_l, half_w = half * (size[r, 0] + margin), half * (size[r, 1] + margin)
            for i in range(-1, 2):
                for j in range(-1, 2):
                    along, across = half_l * f32(i), half_w * f32(j)
                    look(x, y, cos, sin, along, across, nodes, per_metre, offset[k], low[k],
                         high[k], np.uint32(8), found)  # fmt: skip
                    add(offroad[r], d_offroad[r], t, one / f32(9.0), along, across, cos, sin, found)


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def look(x, y, cos, sin, along, across, nodes, per_metre, offset, low, high, shift, found):
    """Coverage at a point that rides on the ego, and its slopes along the world's axes."""
    at_x = (x + along * cos - across * sin) * per_metre + offset[0]
    at_y = (y + along * sin + across * cos) * per_metre + offset[1]
    held_x = min(max(at_x, low[0]), high[0])
    held_y = min(max(at_y, low[1]), high[1])
    i, j = int(held_x), int(held_y)
    u, v = held_x - f32(i), held_y - f32(j)
    near, far = nodes[i, j], nodes[i + 1, j]
    byte = np.uint32(255)
    unit = f32(1.0 / 255.0)
    a, b = f32((near >> shift) & byte) * unit, f32((near >> (shift + np.uint32(16))) & byte) * unit
    c, d = f32((far >> shift) & byte) * unit, f32((far >> (shift + np.uint32(16))) & byte) * unit
    right, left = a + u * (c - a), b + u * (d - b)
    found[0] = right + v * (left - right)
    found[1] = ((c - a) + v * ((d - b) - (c - a))) * per_metre if held_x == at_x else f32(0.0)
    found[2] = (left - right) * per_metre if held_y == at_y else f32(0.0)


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def add(output, gradient, t, weight, along, across, cos, sin, found):
    """Adds a weighted reading and its gradient by the ego's pose."""
    output[t] += weight * found[0]
    gradient[t, 0] += weight * found[1]
    gradient[t, 1] += weight * found[2]
    gradient[t, 2] += weight * (
        found[1] * (-along * sin - across * cos) + found[2] * (along * cos - across * sin)
    )
