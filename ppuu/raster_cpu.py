"""The rasteriser's loops for one processor core, compiled by numba; ``ppuu.raster`` calls them.

They draw what the tensor operations of ``ppuu.raster`` draw, to rounding, where no gradient is
wanted and the numbers lie in main memory.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

SMALLEST_PART = 64
"""Images; waking another thread for fewer takes longer than drawing them."""

SMALLEST_READ = 4096
"""Rows of points, likewise."""

f32 = np.float32


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def draw_road(
    pose, road, place, out, full, nodes, per_metre, offset, low, high, pixel_m, first, step
):
    """Lane-line and off-road coverage, into the channels ``first`` and ``first + step``.

    Args:
        pose: ``(batch, 3)``.
        road: ``(batch,)``.
        place: ``(batch,)`` number of each one's image.
        out: ``(images, channels, rows, columns)`` float32 or uint8.
        full: value of a pixel that is covered wholly, and what to add before it is stored.
        nodes: ``(nodes along x, nodes along y, 2)`` coverage, one node more than can be asked for.
        per_metre: nodes per metre.
        offset, low, high: ``(roads, 2)`` node at the world's origin, outermost nodes of the road.
        pixel_m: metres per pixel.
        first, step: channels.
    """
    rows, columns = out.shape[2], out.shape[3]
    middle_row, middle_column = f32(0.5 * (rows - 1)), f32(0.5 * (columns - 1))
    per_pixel, nodes_across = f32(per_metre * pixel_m), 2 * nodes.shape[1]
    whole, added = full
    flat = nodes.reshape(-1)
    # A line of pixels at a time: first where they lie, a loop without look-ups, which the compiler
    # turns into vector instructions; then the four nodes around each, two channels at once.
    near = np.empty(columns, np.uint64)
    along, across = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for b in range(len(pose)):
        low_x, low_y = low[road[b]]
        high_x, high_y = high[road[b]]
        # One row down moves by (-forward_x, -forward_y), one column to the right by
        # (forward_y, -forward_x): a right angle.
        forward_x = f32(math.cos(pose[b, 2])) * per_pixel
        forward_y = f32(math.sin(pose[b, 2])) * per_pixel
        centre_x = f32(pose[b, 0] * per_metre + offset[road[b], 0])
        centre_y = f32(pose[b, 1] * per_metre + offset[road[b], 1])
        one, other = out[place[b], first], out[place[b], first + step]
        for row in range(rows):
            ahead = middle_row - f32(row)
            row_x, row_y = centre_x + forward_x * ahead, centre_y + forward_y * ahead
            for column in range(columns):
                left = middle_column - f32(column)
                x = min(max(row_x - forward_y * left, low_x), high_x)
                y = min(max(row_y + forward_x * left, low_y), high_y)
                i, j = np.int32(x), np.int32(y)
                along[column], across[column] = x - f32(i), y - f32(j)
                near[column] = np.uint64(i * nodes_across + 2 * j)
            for column in range(columns):
                # Unsigned, so that numba need not look for indices counted from the end.
                k, share = near[column], along[column]
                n = k + np.uint64(nodes_across)
                a, c = flat[k], flat[k + np.uint64(2)]
                e, d = flat[k + np.uint64(1)], flat[k + np.uint64(3)]
                a += share * (flat[n] - a)
                e += share * (flat[n + np.uint64(1)] - e)
                c += share * (flat[n + np.uint64(2)] - c)
                d += share * (flat[n + np.uint64(3)] - d)
                one[row, column] = whole * (a + across[column] * (c - a)) + added
                other[row, column] = whole * (e + across[column] * (d - e)) + added


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def coverage(nodes, x, y, channel):
    """Coverage between four nodes."""
    # Unsigned, so that numba need not look for indices counted from the end.
    i, j, one = np.uint32(x), np.uint32(y), np.uint32(1)
    along, across = x - f32(i), y - f32(j)
    near, far = nodes[i, j, channel], nodes[i + one, j, channel]
    near += across * (nodes[i, j + one, channel] - near)
    far += across * (nodes[i + one, j + one, channel] - far)
    return near + along * (far - near)


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def read(x_m, y_m, road, out, nodes, per_metre, offset, low, high):
    """Coverage at points in the world.

    Args:
        x_m, y_m: ``(batch, points)``.
        road: ``(batch,)``.
        out: ``(batch, 2, points)``.
        nodes, per_metre, offset, low, high: as for ``draw_road``.
    """
    for b in range(len(road)):
        k = road[b]
        for point in range(x_m.shape[1]):
            x = x_m[b, point] * per_metre + offset[k, 0]
            y = y_m[b, point] * per_metre + offset[k, 1]
            x, y = min(max(x, low[k, 0]), high[k, 0]), min(max(y, low[k, 1]), high[k, 1])
            for channel in range(2):
                out[b, channel, point] = coverage(nodes, x, y, channel)


@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def draw_boxes(pose, row, ego, place, out, full, boxes, occupant, pixel_m, channel):
    """Coverage by boxes in the world, as seen from poses, into one channel.

    Args:
        pose: ``(batch, 3)``.
        row: ``(batch,)`` of the tables below.
        ego: ``(batch,)`` the vehicle to leave out.
        place: ``(batch,)`` number of each one's image.
        out: ``(images, channels, rows, columns)`` float32 or uint8.
        full: value of a pixel that is covered wholly, and what to add before it is stored.
        boxes: ``(rows, slots, 5)``.
        occupant: ``(rows, slots)`` vehicle in each slot, negative if free.
        pixel_m: metres per pixel.
        channel: number of the channel.
    """
    rows, columns = out.shape[2], out.shape[3]
    middle_row, middle_column = f32(0.5 * (rows - 1)), f32(0.5 * (columns - 1))
    half, one, nothing, cells = f32(0.5), f32(1.0), f32(0.0), f32(1.0 / pixel_m)
    reach_m = f32(0.5 * pixel_m * math.hypot(rows, columns))
    whole, added = full
    cover = np.empty((rows, columns), np.float32)
    for b in range(len(pose)):
        cover[:] = nothing
        ego_cos, ego_sin = f32(math.cos(pose[b, 2])), f32(math.sin(pose[b, 2]))
        for k in range(boxes.shape[1]):
            if occupant[row[b], k] < 0 or occupant[row[b], k] == ego[b]:
                continue
            box = boxes[row[b], k]
            x_m, y_m = box[0] - pose[b, 0], box[1] - pose[b, 1]
            length, width = box[3] * cells, box[4] * cells
            nearest_m = reach_m + half * (box[3] + box[4])
            if x_m * x_m + y_m * y_m > nearest_m * nearest_m:
                continue
            heading = box[2] - pose[b, 2]
            cos, sin = f32(math.cos(heading)), f32(math.sin(heading))
            # Row and column of the box's centre, and how far from it a pixel can be touched.
            centre_row = middle_row - (ego_cos * x_m + ego_sin * y_m) * cells
            centre_column = middle_column - (ego_cos * y_m - ego_sin * x_m) * cells
            edge = half * (abs(cos) + abs(sin))
            high = half * (length * abs(cos) + width * abs(sin)) + edge
            wide = half * (length * abs(sin) + width * abs(cos)) + edge
            first_row = max(0, math.ceil(centre_row - high))
            last_row = min(rows - 1, math.floor(centre_row + high))
            first_column = max(0, math.ceil(centre_column - wide))
            last_column = min(columns - 1, math.floor(centre_column + wide))
            for i in range(first_row, last_row + 1):
                ahead = centre_row - f32(i)
                for j in range(first_column, last_column + 1):
                    left = centre_column - f32(j)
                    along = half * (length + one) - abs(cos * ahead + sin * left)
                    across = half * (width + one) - abs(cos * left - sin * ahead)
                    share = min(max(along, nothing), min(length, one))
                    share *= min(max(across, nothing), min(width, one))
                    cover[i, j] += share
        image = out[place[b], channel]
        for i in range(rows):
            for j in range(columns):
                image[i, j] = whole * min(cover[i, j], one) + added
