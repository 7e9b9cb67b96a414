"""The loops of ``envs.core.termination`` that decide on roads and endings, compiled by numba."""

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
def off_the_road(box, road, lost, corners, pieces, first_cell, origin, size, cell_m):
    """Whether the centre and one of the flanks lie off the drivable area.

    Args:
        box: ``(envs, 5)``.
        road: ``(envs,)``.
        lost: ``(envs,)`` the result.
        corners, pieces, first_cell, origin, size, cell_m: of ``DrivableArea``.
    """
    for e in range(len(box)):
        k = road[e]
        lost[e] = is_off_the_road(
            box[e], corners, pieces, first_cell[k], origin[k], size[k], cell_m
        )


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def is_off_the_road(box, corners, pieces, first_cell, origin, size, cell_m):
    """The same of one box on its road."""
    cos, sin = f32(math.cos(box[2])), f32(math.sin(box[2]))
    off = False
    for flank in (f32(0.0), f32(0.5), f32(-0.5)):
        across = box[4] * flank
        x, y = box[0] - sin * across, box[1] + cos * across
        off = not _on_a_lane(x, y, corners, pieces, first_cell, origin, size, cell_m)
        if (flank == 0) != off:
            return off  # the centre is on the road, or a flank is off it, too
    return False


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def _on_a_lane(x, y, corners, pieces, first_cell, origin, size, cell_m):
    column = math.floor((x - origin[0]) / cell_m)
    row = math.floor((y - origin[1]) / cell_m)
    # So written that what is not a number is nowhere.
    if not (column >= 0 and column < size[0] and row >= 0 and row < size[1]):
        return False
    for piece in pieces[first_cell + int(column) * size[1] + int(row)]:
        if piece < 0:
            return False
        inside = False
        for k in range(4):
            a, b = corners[piece, k], corners[piece, (k + 1) % 4]
            if (a[1] > y) != (b[1] > y):
                inside ^= x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
        if inside:
            return True
    return False


@kernel(smallest_part=2048)  # environments
@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def outcomes(station, goal, enough, late, in_lane, wrong_way, lost, collided, outcome, codes):
    """How each episode stands.

    Args:
        station, goal, enough, late, in_lane, wrong_way, lost, collided: ``(envs,)``.
        outcome: ``(envs,)`` the result.
        codes: numbers of ``Outcome``, in its order.
    """
    for e in range(len(station)):
        outcome[e] = outcome_of(
            station[e], goal[e], enough[e], late[e], in_lane[e], wrong_way[e], lost[e],
            collided[e], codes,
        )  # fmt: skip


@njit(nogil=True, error_model="numpy", cache=True)
@no_type_check
def outcome_of(station, goal, enough, late, in_lane, wrong_way, lost, collided, codes):
    """One episode's; of several endings at once the first that is tested here."""
    running, arrived, missed, stalled, timeout, collision, offroad, wrong = codes
    if collided:
        return collision
    if lost:
        return offroad
    if wrong_way:
        return wrong
    if station >= goal or (late and station >= enough):
        return arrived if in_lane else missed
    if late:
        return timeout if np.isinf(enough) else stalled
    return running
