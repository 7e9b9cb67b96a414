"""One-dimensional masks for compiled loops: a trapezoid, its integral and their slopes."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

f32 = np.float32


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def height(place, half, ahead, behind):
    """The trapezoid: 1 up to ``half`` either way, 0 a fade further.

    Args:
        place: where.
        half: half its flat part.
        ahead, behind: one over the fades; products are faster than quotients.
    """
    per_m = ahead if place >= f32(0.0) else behind
    return min(max(f32(1.0) - (abs(place) - half) * per_m, f32(0.0)), f32(1.0))


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def integral(place, half, fade_ahead, fade_behind, ahead, behind):
    """Its integral from 0 to a place, negative behind; the fades themselves come first."""
    size = abs(place)
    forwards = place >= f32(0.0)
    fade = fade_ahead if forwards else fade_behind
    per_m = ahead if forwards else behind
    into = min(max(size - half, f32(0.0)), fade)
    found = min(size, half) + into - f32(0.5) * into * into * per_m
    return found if forwards else -found


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def slopes(place, half, ahead, behind):
    """The integral's slopes by ``half`` and by both fades (not by one over them)."""
    per_m = ahead if place >= f32(0.0) else behind
    share = min(max((abs(place) - half) * per_m, f32(0.0)), f32(1.0))
    by_fade = f32(0.5) * share * share
    if place >= f32(0.0):
        return share, by_fade, f32(0.0)
    return -share, f32(0.0), -by_fade
