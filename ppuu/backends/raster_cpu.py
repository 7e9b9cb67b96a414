"""The rasteriser on a CPU.

Draws what the tensor operations of ``ppuu.perception.raster`` draw, to rounding, where no gradient
is wanted.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel

f32 = np.float32


@kernel(smallest_part=16)  # images
@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def draw_road(
    pose, road, place, out, full, nodes, per_metre, offset, low, high, pixel_m, lanes, offroad
):
    """Lane-line and off-road coverage, into two channels.

    Args:
        pose: ``(batch, 3)``.
        road: ``(batch,)``.
        place: ``(batch,)`` number of each one's image.
        out: ``(images, channels, rows, columns)`` float32 or uint8.
        full: value of a pixel that is covered wholly, and what to add before it is stored.
        nodes: ``(nodes along x, nodes along y)`` coverage, see ``pack``.
        per_metre: nodes per metre.
        offset, low, high: ``(roads, 2)`` node at the world's origin, outermost nodes of the road.
        pixel_m: metres per pixel.
        lanes, offroad: channels.
    """
    rows, columns = out.shape[2], out.shape[3]
    middle_row, middle_column = f32(0.5 * (rows - 1)), f32(0.5 * (columns - 1))
    per_pixel = f32(per_metre * pixel_m)
    unit, added = full[0] * _UNIT, full[1]
    flat, nodes_across = nodes.reshape(-1), nodes.shape[1]
    # A line of pixels at a time, in three loops: where they lie, what is stored there, and the
    # formula.  The compiler turns the first and the last into vector instructions.
    place_of = np.empty(columns, np.int32)
    along, across = np.empty(columns, np.float32), np.empty(columns, np.float32)
    near, far = np.empty(columns, np.uint32), np.empty(columns, np.uint32)
    for n in range(len(pose)):
        k = road[n]
        low_x, low_y, high_x, high_y = low[k, 0], low[k, 1], high[k, 0], high[k, 1]
        # One row down moves by (-forward_x, -forward_y), one column to the right by
        # (forward_y, -forward_x): a right angle.
        forward_x = f32(math.cos(pose[n, 2])) * per_pixel
        forward_y = f32(math.sin(pose[n, 2])) * per_pixel
        centre_x = f32(pose[n, 0] * per_metre + offset[k, 0])
        centre_y = f32(pose[n, 1] * per_metre + offset[k, 1])
        one, other = out[place[n], lanes], out[place[n], offroad]
        for row in range(rows):
            ahead = middle_row - f32(row)
            row_x, row_y = centre_x + forward_x * ahead, centre_y + forward_y * ahead
            for column in range(columns):
                left = middle_column - f32(column)
                x = min(max(row_x - forward_y * left, low_x), high_x)
                y = min(max(row_y + forward_x * left, low_y), high_y)
                i, j = np.int32(x), np.int32(y)
                along[column], across[column] = x - f32(i), y - f32(j)
                place_of[column] = i * np.int32(nodes_across) + j
            for column in range(columns):
                # Unsigned, so that numba need not look for indices counted from the end.
                node = np.uint64(place_of[column])
                near[column], far[column] = flat[node], flat[node + np.uint64(nodes_across)]
            for column in range(columns):
                a, b = near[column], far[column]
                x, y = along[column], across[column]
                one[row, column] = unit * _between(a, b, x, y, np.uint32(0)) + added
                other[row, column] = unit * _between(a, b, x, y, np.uint32(8)) + added


_UNIT = f32(1.0 / 255.0)
"""Coverage of one step of a packed node."""


@no_type_check
def pack(atlas):
    """Nodes for these loops: one number each, so that a bilinear look-up reads two.

    Args:
        atlas: ``(2, nodes along x, nodes along y)`` coverage from 0 to 1, in steps of 1/255.

    Returns:
        ``(nodes along x + 1, nodes along y)`` uint32; from the lowest byte on: both channels of
        the node, both of the next along y.  The last row is there twice, as what lies beyond.
    """
    byte = np.rint(atlas * 255.0).astype(np.uint32)
    byte = np.pad(byte, ((0, 0), (0, 1), (0, 1)), mode="edge")
    here, there = byte[:, :, :-1], byte[:, :, 1:]
    return here[0] | here[1] << 8 | there[0] << 16 | there[1] << 24


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def _between(near, far, along, across, shift):
    """The channel that begins at a bit, between four nodes, from 0 to 255."""
    right, left = _byte(near, shift), _byte(near, shift + np.uint32(16))
    right += along * (_byte(far, shift) - right)
    left += along * (_byte(far, shift + np.uint32(16)) - left)
    return right + across * (left - right)


@njit(nogil=True, inline="always")
@no_type_check
def _byte(packed, shift):
    return f32(np.int32((packed >> shift) & np.uint32(255)))


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def coverage(nodes, x, y, channel):
    """Coverage between four nodes."""
    # Unsigned, so that numba need not look for indices counted from the end.
    i, j = np.uint32(x), np.uint32(y)
    near, far = nodes[i, j], nodes[i + np.uint32(1), j]
    return _UNIT * _between(near, far, x - f32(i), y - f32(j), np.uint32(8 * channel))


@kernel(smallest_part=4096)  # rows of points
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
            if math.isnan(x) or math.isnan(y):  # nowhere, and no index into the nodes
                out[b, :, point] = np.nan
                continue
            x, y = min(max(x, low[k, 0]), high[k, 0]), min(max(y, low[k, 1]), high[k, 1])
            for channel in range(2):
                out[b, channel, point] = coverage(nodes, x, y, channel)


@kernel(smallest_part=16)  # images
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
                    covered = min(max(along, nothing), min(length, one))
                    covered *= min(max(across, nothing), min(width, one))
                    cover[i, j] += covered
        image = out[place[b], channel]
        for i in range(rows):
            for j in range(columns):
                image[i, j] = whole * min(cover[i, j], one) + added


_draw_road, _draw_boxes = draw_road.loop, draw_boxes.loop


@kernel(smallest_part=16)  # images
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def draw(pose, row, ego, road, place, out, full, others, road_map, pixel_m, channels):
    """Whole images, roads and boxes, in one launch.

    Args:
        pose, row, ego, road, place, out, full, pixel_m: as of ``draw_road`` and ``draw_boxes``.
        others: boxes and occupants of ``draw_boxes``.
        road_map: nodes, nodes per metre, and offset, lowest and highest node of each road.
        channels: of lane lines, vehicles and off-road.
    """
    lanes, vehicles, offroad = channels
    nodes, per_metre, offset, low, high = road_map
    _draw_road(
        pose, road, place, out, full, nodes, per_metre, offset, low, high, pixel_m, lanes, offroad
    )
    _draw_boxes(pose, row, ego, place, out, full, *others, pixel_m, vehicles)
