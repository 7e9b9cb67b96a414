"""Masses of boxes under masks that ride on the ego, for one processor core, compiled by numba.

What ``BoxPrediction`` computes with tensor operations, to rounding.  A planner evaluates nothing
else as often.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel
from .trapezoid_cpu import height, interval, size_slopes

PIECES = 4
"""Parts of a box along its length, each taken for a rectangle along the ego's axes."""

f32 = np.float32


@kernel(smallest_part=16)  # paths
@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def moments(ego, sizes, owner, out, boxes):
    """Mass and momentum of vehicles under masks; the latter by the speed along the ego's heading.

    Args:
        ego: ``(paths, time, 4)``.
        sizes: ``(paths, time, masks, 5)``.
        owner: ``(paths,)`` whose boxes each path is among.
        out: ``(paths, samples, time, masks, 2)`` to write.
        boxes: ``(owners, samples, time, slots, 7)`` x, y, cosine and sine of the heading, speed,
            length and width; both 0 where there is no vehicle.
    """
    zero, half = f32(0.0), f32(0.5)
    samples, slots, count = boxes.shape[1], boxes.shape[3], sizes.shape[2]
    for r in range(len(ego)):
        for t in range(ego.shape[1]):
            x, y = ego[r, t, 0], ego[r, t, 1]
            cos, sin = f32(math.cos(ego[r, t, 2])), f32(math.sin(ego[r, t, 2]))
            furthest, widest = extents(sizes[r, t])
            for k in range(samples):
                for m in range(count):
                    out[r, k, t, m, 0], out[r, k, t, m, 1] = zero, zero
                table = boxes[owner[r], k, t]
                for j in range(slots):
                    length, width = table[j, 5], table[j, 6]
                    if length == zero:
                        continue
                    east, north = table[j, 0] - x, table[j, 1] - y
                    ahead, left = cos * east + sin * north, cos * north - sin * east
                    reach = half * (length + width)
                    if abs(ahead) - reach >= furthest or abs(left) - reach >= widest:
                        continue
                    turn_cos, turn_sin = (
                        cos * table[j, 2] + sin * table[j, 3],
                        cos * table[j, 3] - sin * table[j, 2],
                    )
                    speed = table[j, 4] * turn_cos
                    long = half * (length * abs(turn_cos) + width * abs(turn_sin))
                    wide = half * (length * abs(turn_sin) + width * abs(turn_cos))
                    along, across, prepared = zero, zero, False
                    for m in range(count):
                        h, fa, fb = sizes[r, t, m, 0], sizes[r, t, m, 1], sizes[r, t, m, 2]
                        w, fs = sizes[r, t, m, 3], sizes[r, t, m, 4]
                        ra, rb, rs = f32(1.0) / fa, f32(1.0) / fb, f32(1.0) / fs
                        if ahead - long >= h + fa or ahead + long <= -h - fb:
                            continue
                        if abs(left) - wide >= w + fs:
                            continue
                        if abs(ahead) + long <= h and abs(left) + wide <= w:
                            out[r, k, t, m, 0] += length * width
                            out[r, k, t, m, 1] += speed * length * width
                            continue
                        if not prepared:
                            along, across, _ = piece(length, width, turn_cos, turn_sin)
                            prepared = True
                        total = zero
                        for i in range(PIECES):
                            from_middle = (f32(i) - f32(0.5 * (PIECES - 1))) * length / f32(PIECES)
                            px, py = ahead + from_middle * turn_cos, left + from_middle * turn_sin
                            total += interval(
                                px + half * along, px - half * along, h, fa, fb, ra, rb
                            ) * interval(py + half * across, py - half * across, w, fs, fs, rs, rs)
                        out[r, k, t, m, 0] += total
                        out[r, k, t, m, 1] += speed * total


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def extents(sizes):
    """How far the masks reach along and across: most vehicles are further away than that."""
    furthest, widest = f32(0.0), f32(0.0)
    for m in range(len(sizes)):
        furthest = max(furthest, sizes[m, 0] + max(sizes[m, 1], sizes[m, 2]))
        widest = max(widest, sizes[m, 3] + sizes[m, 4])
    return furthest, widest


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def piece(length, width, cos, sin):
    """Extents of a piece along the ego's axes, and the logarithmic slope of the first by the turn.

    As a rectangle of the piece's own area, its sides in the proportion of the piece's deviations
    along both axes; so exact for boxes along the axes.
    """
    quarter = length / f32(PIECES)
    q, w, cc, ss = quarter * quarter, width * width, cos * cos, sin * sin
    along2, across2 = q * cc + w * ss, q * ss + w * cc
    ratio = math.sqrt(math.sqrt(along2 / across2))  # of the extents, less than squared
    side = f32(math.sqrt(quarter * width))
    slope = f32(0.5) * (w - q) * sin * cos * (f32(1.0) / along2 + f32(1.0) / across2)
    return side * f32(ratio), side / f32(ratio), slope


@kernel(smallest_part=16)  # paths
@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def gradient(ego, sizes, owner, by_out, to_ego, to_sizes, boxes):
    """The gradient of ``moments``, given that by its result.

    Args:
        ego, sizes, owner, boxes: as of ``moments``.
        by_out: ``(paths, samples, time, masks, 2)``.
        to_ego: ``(paths, time, 4)`` to write.
        to_sizes: ``(paths, time, masks, 5)`` to write.
    """
    zero, half = f32(0.0), f32(0.5)
    samples, slots, count = boxes.shape[1], boxes.shape[3], sizes.shape[2]
    for r in range(len(ego)):
        for t in range(ego.shape[1]):
            x, y = ego[r, t, 0], ego[r, t, 1]
            cos, sin = f32(math.cos(ego[r, t, 2])), f32(math.sin(ego[r, t, 2]))
            furthest, widest = extents(sizes[r, t])
            to_x, to_y, to_heading = zero, zero, zero
            for m in range(count):
                for s in range(5):
                    to_sizes[r, t, m, s] = zero
            for k in range(samples):
                table = boxes[owner[r], k, t]
                for j in range(slots):
                    length, width = table[j, 5], table[j, 6]
                    if length == zero:
                        continue
                    east, north = table[j, 0] - x, table[j, 1] - y
                    ahead, left = cos * east + sin * north, cos * north - sin * east
                    reach = half * (length + width)
                    if abs(ahead) - reach >= furthest or abs(left) - reach >= widest:
                        continue
                    turn_cos, turn_sin = (
                        cos * table[j, 2] + sin * table[j, 3],
                        cos * table[j, 3] - sin * table[j, 2],
                    )
                    speed, speed_by_heading = table[j, 4] * turn_cos, table[j, 4] * turn_sin
                    long = half * (length * abs(turn_cos) + width * abs(turn_sin))
                    wide = half * (length * abs(turn_sin) + width * abs(turn_cos))
                    along, across, slope, prepared = zero, zero, zero, False
                    by_ahead, by_left, by_heading = zero, zero, zero
                    for m in range(count):
                        by_mass, by_momentum = by_out[r, k, t, m, 0], by_out[r, k, t, m, 1]
                        if by_mass == zero and by_momentum == zero:
                            continue
                        h, fa, fb = sizes[r, t, m, 0], sizes[r, t, m, 1], sizes[r, t, m, 2]
                        w, fs = sizes[r, t, m, 3], sizes[r, t, m, 4]
                        ra, rb, rs = f32(1.0) / fa, f32(1.0) / fb, f32(1.0) / fs
                        if ahead - long >= h + fa or ahead + long <= -h - fb:
                            continue
                        if abs(left) - wide >= w + fs:
                            continue
                        if abs(ahead) + long <= h and abs(left) + wide <= w:
                            by_heading += by_momentum * speed_by_heading * length * width
                            continue
                        if not prepared:
                            along, across, slope = piece(length, width, turn_cos, turn_sin)
                            prepared = True
                        total = zero
                        scaled = by_mass + by_momentum * speed
                        for i in range(PIECES):
                            from_middle = (f32(i) - f32(0.5 * (PIECES - 1))) * length / f32(PIECES)
                            px, py = ahead + from_middle * turn_cos, left + from_middle * turn_sin
                            front, rear = px + half * along, px - half * along
                            port, starboard = py + half * across, py - half * across
                            ia = interval(front, rear, h, fa, fb, ra, rb)
                            ib = interval(port, starboard, w, fs, fs, rs, rs)
                            total += ia * ib
                            at_front, at_rear = height(front, h, ra, rb), height(rear, h, ra, rb)
                            at_port = height(port, w, rs, rs)
                            at_starboard = height(starboard, w, rs, rs)
                            d_ahead = scaled * (at_front - at_rear) * ib
                            d_left = scaled * (at_port - at_starboard) * ia
                            by_ahead += d_ahead
                            by_left += d_left
                            # The turn grows as the ego's heading falls.
                            by_heading += d_ahead * py - d_left * px
                            by_heading -= (
                                slope
                                * scaled
                                * half
                                * (
                                    (at_front + at_rear) * along * ib
                                    - (at_port + at_starboard) * across * ia
                                )
                            )
                            by_size = size_slopes(
                                front, rear, port, starboard, (h, w), (ra, rb, rs), (ia, ib)
                            )
                            to_sizes[r, t, m, 0] += scaled * by_size[0]
                            to_sizes[r, t, m, 1] += scaled * by_size[1]
                            to_sizes[r, t, m, 2] += scaled * by_size[2]
                            to_sizes[r, t, m, 3] += scaled * by_size[3]
                            to_sizes[r, t, m, 4] += scaled * by_size[4]
                        by_heading += by_momentum * speed_by_heading * total
                    to_x += sin * by_left - cos * by_ahead
                    to_y -= sin * by_ahead + cos * by_left
                    to_heading += by_heading
            to_ego[r, t, 0], to_ego[r, t, 1] = to_x, to_y
            to_ego[r, t, 2], to_ego[r, t, 3] = to_heading, zero
