"""The loops of ``envs.core.route``, compiled by numba."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

from .kernel import kernel

f32 = np.float32


@kernel(smallest_part=2048)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def follow(route, station, state, found, along, spacing, behind, ahead):
    """The station of the nearest point of each route near the last one.

    Args:
        route: ``(envs, nodes, 2)``.
        station: ``(envs,)`` before.
        state: ``(envs, 4)``.
        found: ``(envs,)`` becomes the station.
        along: ``(envs,)`` becomes the cosine of the heading relative to the route.
        spacing: metres between nodes.
        behind, ahead: segments to look at.
    """
    for e in range(len(route)):
        found[e], along[e] = follow_one(route[e], station[e], state[e], spacing, behind, ahead)


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def follow_one(route, station, state, spacing, behind, ahead):
    """One ego's station, and the cosine of its heading relative to the route."""
    first, segments = int(station / spacing), len(route) - 1
    least, best, x_dir, y_dir = f32(np.inf), station, f32(1.0), f32(0.0)
    for k in range(first - behind, first + ahead + 1):
        segment = min(max(k, 0), segments - 1)
        chord_x = route[segment + 1, 0] - route[segment, 0]
        chord_y = route[segment + 1, 1] - route[segment, 1]
        length = max(np.sqrt(chord_x * chord_x + chord_y * chord_y), f32(1e-3))
        x, y = state[0] - route[segment, 0], state[1] - route[segment, 1]
        share = (x * chord_x + y * chord_y) / (length * length)
        share = min(max(share, f32(0.0)), f32(1.0))
        beside_x, beside_y = x - share * chord_x, y - share * chord_y
        distance = np.sqrt(beside_x * beside_x + beside_y * beside_y)
        if distance < least:
            least, best = distance, (f32(segment) + share) * spacing
            x_dir, y_dir = chord_x / length, chord_y / length
    return best, x_dir * f32(math.cos(state[2])) + y_dir * f32(math.sin(state[2]))


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def lateral_of(line, state):
    """Metres to the left of a line, seen from its nearest node (``ppuu.perception.goal``)."""
    least, nearest = f32(np.inf), 0
    for k in range(len(line)):
        x, y = state[0] - line[k, 0], state[1] - line[k, 1]
        squared = x * x + y * y
        if squared < least:
            least, nearest = squared, k
    first, last = max(nearest - 1, 0), min(nearest + 1, len(line) - 1)
    along_x, along_y = line[last, 0] - line[first, 0], line[last, 1] - line[first, 1]
    x, y = state[0] - line[nearest, 0], state[1] - line[nearest, 1]
    return (along_x * y - along_y * x) / np.sqrt(along_x * along_x + along_y * along_y)
