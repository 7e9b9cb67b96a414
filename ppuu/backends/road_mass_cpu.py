"""Road under masks that ride on the ego, for one processor core, compiled by numba."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel
from .trapezoid_cpu import integral

ALONG, ACROSS = 2, 13
"""Cells that a mask is cut into."""

f32 = np.float32


@kernel(smallest_part=16)  # paths
@njit(nogil=True, fastmath=True, error_model="numpy", cache=True)
@no_type_check
def road_masses(ego, sizes, road, out, slopes, channels, nodes, per_metre, offset, low, high):
    """Masses and their slopes by the ego's state.

    Args:
        ego: ``(paths, time, 4)``.
        sizes: ``(paths, time, masks, 5)``.
        road: ``(paths,)`` number of the road.
        out: ``(paths, time, masks)`` to write.
        slopes: ``(paths, time, masks, 4)`` to write.
        channels: ``(masks,)`` 0 for lane lines, 1 for off-road area.
        nodes, per_metre, offset, low, high: as for ``raster_cpu.read``.
    """
    zero, half = f32(0.0), f32(0.5)
    across, weight = np.empty(ACROSS, np.float32), np.empty(ACROSS, np.float32)
    reading = np.empty(3, np.float32)
    for r in range(len(ego)):
        k = road[r]
        for t in range(ego.shape[1]):
            x, y, heading = ego[r, t, 0], ego[r, t, 1], ego[r, t, 2]
            cos, sin = f32(math.cos(heading)), f32(math.sin(heading))
            for m in range(sizes.shape[2]):
                h, fa, fb = sizes[r, t, m, 0], sizes[r, t, m, 1], sizes[r, t, m, 2]
                w, fs = sizes[r, t, m, 3], sizes[r, t, m, 4]
                ra, rb, rs = f32(1.0) / fa, f32(1.0) / fb, f32(1.0) / fs
                wide, long = f32(2.0) * (w + fs) / f32(ACROSS), (h + h + fa + fb) / f32(ALONG)
                for j in range(ACROSS):
                    across[j] = (f32(j) + half) * wide - w - fs
                    weight[j] = integral(across[j] + half * wide, w, fs, fs, rs, rs) - integral(
                        across[j] - half * wide, w, fs, fs, rs, rs
                    )
                shift = np.uint32(8 * channels[m])
                total, by_x, by_y, by_heading = zero, zero, zero, zero
                for i in range(ALONG):
                    along = (f32(i) + half) * long - h - fb
                    # Not ``interval``: with it, rounding would differ.
                    part = integral(along + half * long, h, fa, fb, ra, rb) - integral(
                        along - half * long, h, fa, fb, ra, rb
                    )
                    for j in range(ACROSS):
                        read_sloped(
                            x, y, cos, sin, along, across[j], nodes, per_metre, offset[k], low[k],
                            high[k], shift, reading,
                        )  # fmt: skip
                        area = part * weight[j]
                        total += area * reading[0]
                        by_x += area * reading[1]
                        by_y += area * reading[2]
                        by_heading += area * (
                            reading[2] * (along * cos - across[j] * sin)
                            - reading[1] * (along * sin + across[j] * cos)
                        )
                out[r, t, m] = total
                slopes[r, t, m, 0], slopes[r, t, m, 1] = by_x, by_y
                slopes[r, t, m, 2], slopes[r, t, m, 3] = by_heading, zero


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def read_sloped(x, y, cos, sin, along, across, nodes, per_metre, offset, low, high, shift, reading):
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
    reading[0] = right + v * (left - right)
    reading[1] = ((c - a) + v * ((d - b) - (c - a))) * per_metre if held_x == at_x else f32(0.0)
    reading[2] = (left - right) * per_metre if held_y == at_y else f32(0.0)
