"""Masses of images under masks that ride on the ego, for one processor core, compiled by numba.

What ``OccupancyPrediction`` computes with tensor operations, to rounding, but for pixels under no
mask, which are skipped.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel
from .trapezoid_cpu import height, interval, size_slopes

f32 = np.float32


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def window(x, y, cos, sin, ahead, behind, side, rows, columns, pixel):
    """First and last row and column that a rectangle around the ego can touch.

    Args:
        x, y, cos, sin: where the ego is in the image's frame, and its direction.
        ahead, behind, side: reaches of the rectangle.
        rows, columns, pixel: of the image; metres per pixel.
    """
    zero, half = f32(0.0), f32(0.5)
    high = x + max(ahead * cos, -behind * cos) + side * abs(sin) + pixel
    low = x + min(ahead * cos, -behind * cos) - side * abs(sin) - pixel
    leftmost = y + max(ahead * sin, -behind * sin) + side * abs(cos) + pixel
    rightmost = y + min(ahead * sin, -behind * sin) - side * abs(cos) - pixel
    middle_row, middle_column = half * f32(rows - 1), half * f32(columns - 1)
    first_row = max(zero, math.ceil(middle_row - high / pixel))
    last_row = min(f32(rows - 1), math.floor(middle_row - low / pixel))
    first_column = max(zero, math.ceil(middle_column - leftmost / pixel))
    last_column = min(f32(columns - 1), math.floor(middle_column - rightmost / pixel))
    return int(first_row), int(last_row), int(first_column), int(last_column)


@kernel(smallest_part=4)  # paths
@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def moments(offset, sizes, owner, out, images, pixel_m):
    """Mass of a channel under masks, and of a vector beside it along the ego's heading.

    Args:
        offset: ``(paths, time, 3)`` the ego's pose seen from the images.
        sizes: ``(paths, time, masks, 5)``.
        owner: ``(paths,)`` whose images each path is among.
        out: ``(paths, samples, time, masks, 1 or 2)`` to write.
        images: ``(owners, samples, time, 1 or 3, rows, columns)``; the vector is nothing where the
            mass is nothing.
        pixel_m: metres per pixel.
    """
    zero, half, pixel = f32(0.0), f32(0.5), f32(pixel_m)
    samples, vector = images.shape[1], images.shape[3] == 3
    rows, columns = images.shape[4], images.shape[5]
    middle_row, middle_column = half * f32(rows - 1), half * f32(columns - 1)
    reach = half * pixel
    for r in range(len(offset)):
        for t in range(offset.shape[1]):
            x, y = offset[r, t, 0], offset[r, t, 1]
            cos, sin = f32(math.cos(offset[r, t, 2])), f32(math.sin(offset[r, t, 2]))
            for m in range(sizes.shape[2]):
                h, fa, fb = sizes[r, t, m, 0], sizes[r, t, m, 1], sizes[r, t, m, 2]
                w, fs = sizes[r, t, m, 3], sizes[r, t, m, 4]
                ra, rb, rs = f32(1.0) / fa, f32(1.0) / fb, f32(1.0) / fs
                first_row, last_row, first_column, last_column = window(
                    x, y, cos, sin, h + fa, h + fb, w + fs, rows, columns, pixel
                )
                for k in range(samples):
                    # Planes at hand: an index of six numbers costs more than the arithmetic.
                    plane = images[owner[r], k, t, 0]
                    along = images[owner[r], k, t, 1 if vector else 0]
                    across = images[owner[r], k, t, 2 if vector else 0]
                    total, moving = zero, zero
                    for i in range(first_row, last_row + 1):
                        east = (middle_row - f32(i)) * pixel - x
                        for j in range(first_column, last_column + 1):
                            value = plane[i, j]
                            if value == zero:
                                continue
                            north = (middle_column - f32(j)) * pixel - y
                            px, py = cos * east + sin * north, cos * north - sin * east
                            weight = pixel * pixel
                            if abs(px) + reach > h or abs(py) + reach > w:
                                weight = interval(
                                    px + reach, px - reach, h, fa, fb, ra, rb
                                ) * interval(py + reach, py - reach, w, fs, fs, rs, rs)
                            total += value * weight
                            if vector:
                                moving += (cos * along[i, j] + sin * across[i, j]) * weight
                    out[r, k, t, m, 0] = total
                    if vector:
                        out[r, k, t, m, 1] = moving


@kernel(smallest_part=4)  # paths
@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def gradient(offset, sizes, owner, by_out, to_offset, to_sizes, images, pixel_m, to_images):
    """The gradient of ``moments``, given that by its result.

    Args:
        offset, sizes, owner, images, pixel_m: as of ``moments``.
        by_out: ``(paths, samples, time, masks, 1 or 2)``.
        to_offset: ``(paths, time, 3)`` to write.
        to_sizes: ``(paths, time, masks, 5)`` to write.
        to_images: like the images, to add to; of none, if it is not wanted.
    """
    zero, half, pixel = f32(0.0), f32(0.5), f32(pixel_m)
    samples, vector = images.shape[1], images.shape[3] == 3
    rows, columns = images.shape[4], images.shape[5]
    middle_row, middle_column = half * f32(rows - 1), half * f32(columns - 1)
    reach, wanted = half * pixel, len(to_images) > 0
    for r in range(len(offset)):
        n = owner[r]
        for t in range(offset.shape[1]):
            x, y = offset[r, t, 0], offset[r, t, 1]
            cos, sin = f32(math.cos(offset[r, t, 2])), f32(math.sin(offset[r, t, 2]))
            to_x, to_y, to_turn = zero, zero, zero
            for m in range(sizes.shape[2]):
                for s in range(5):
                    to_sizes[r, t, m, s] = zero
                h, fa, fb = sizes[r, t, m, 0], sizes[r, t, m, 1], sizes[r, t, m, 2]
                w, fs = sizes[r, t, m, 3], sizes[r, t, m, 4]
                ra, rb, rs = f32(1.0) / fa, f32(1.0) / fb, f32(1.0) / fs
                first_row, last_row, first_column, last_column = window(
                    x, y, cos, sin, h + fa, h + fb, w + fs, rows, columns, pixel
                )
                for k in range(samples):
                    by_mass = by_out[r, k, t, m, 0]
                    by_momentum = by_out[r, k, t, m, 1] if vector else zero
                    if by_mass == zero and by_momentum == zero:
                        continue
                    plane = images[n, k, t, 0]
                    along_plane = images[n, k, t, 1 if vector else 0]
                    across_plane = images[n, k, t, 2 if vector else 0]
                    for i in range(first_row, last_row + 1):
                        east = (middle_row - f32(i)) * pixel - x
                        for j in range(first_column, last_column + 1):
                            if plane[i, j] == zero and not wanted:
                                continue
                            value, turned = by_mass * plane[i, j], zero
                            if vector:
                                along, across = along_plane[i, j], across_plane[i, j]
                                value += by_momentum * (cos * along + sin * across)
                                turned = by_momentum * (cos * across - sin * along)
                            north = (middle_column - f32(j)) * pixel - y
                            px, py = cos * east + sin * north, cos * north - sin * east
                            front, rear, port, starboard = (
                                px + reach,
                                px - reach,
                                py + reach,
                                py - reach,
                            )
                            ia = interval(front, rear, h, fa, fb, ra, rb)
                            ib = interval(port, starboard, w, fs, fs, rs, rs)
                            if wanted:
                                to_images[n, k, t, 0, i, j] += by_mass * ia * ib
                                if vector:
                                    to_images[n, k, t, 1, i, j] += by_momentum * cos * ia * ib
                                    to_images[n, k, t, 2, i, j] += by_momentum * sin * ia * ib
                            to_turn += turned * ia * ib
                            d_ahead = height(front, h, ra, rb) - height(rear, h, ra, rb)
                            d_ahead *= value * ib
                            d_left = height(port, w, rs, rs) - height(starboard, w, rs, rs)
                            d_left *= value * ia
                            to_x += sin * d_left - cos * d_ahead
                            to_y -= sin * d_ahead + cos * d_left
                            to_turn += d_ahead * py - d_left * px
                            by_size = size_slopes(
                                front, rear, port, starboard, (h, w), (ra, rb, rs), (ia, ib)
                            )
                            to_sizes[r, t, m, 0] += value * by_size[0]
                            to_sizes[r, t, m, 1] += value * by_size[1]
                            to_sizes[r, t, m, 2] += value * by_size[2]
                            to_sizes[r, t, m, 3] += value * by_size[3]
                            to_sizes[r, t, m, 4] += value * by_size[4]
            to_offset[r, t, 0], to_offset[r, t, 1], to_offset[r, t, 2] = to_x, to_y, to_turn
