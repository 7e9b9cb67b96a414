"""One-dimensional masks for kernels: a trapezoid, its integral and their slopes."""

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
    total = min(size, half) + into - f32(0.5) * into * into * per_m
    return total if forwards else -total


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def interval(last, first, half, fade_ahead, fade_behind, ahead, behind):
    """The integral from ``first`` to ``last``; the other arguments are those of ``integral``."""
    return integral(last, half, fade_ahead, fade_behind, ahead, behind) - integral(
        first, half, fade_ahead, fade_behind, ahead, behind
    )


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def slopes(place, half, ahead, behind):
    """The integral's slopes by ``half`` and by both fades (not by one over them)."""
    per_m = ahead if place >= f32(0.0) else behind
    fraction = min(max((abs(place) - half) * per_m, f32(0.0)), f32(1.0))
    by_fade = f32(0.5) * fraction * fraction
    if place >= f32(0.0):
        return fraction, by_fade, f32(0.0)
    return -fraction, f32(0.0), -by_fade


@njit(nogil=True, fastmath=True, error_model="numpy", inline="always")
@no_type_check
def size_slopes(front, rear, port, starboard, half, per_m, mass):
    """Slopes of a rectangle's mass by the five sizes of a mask.

    Returned, not added to an array in here: the elements of a tuple stay in registers.

    Args:
        front, rear, port, starboard: the rectangle's edges.
        half: half-length and half-width of the mask.
        per_m: one over the fades ahead, behind and to the side.
        mass: integrals over the rectangle along and across.
    """
    h1, a1, b1 = slopes(front, half[0], per_m[0], per_m[1])
    h2, a2, b2 = slopes(rear, half[0], per_m[0], per_m[1])
    w1, c1, d1 = slopes(port, half[1], per_m[2], per_m[2])
    w2, c2, d2 = slopes(starboard, half[1], per_m[2], per_m[2])
    along, across = mass
    return (
        (h1 - h2) * across,
        (a1 - a2) * across,
        (b1 - b2) * across,
        (w1 - w2) * along,
        (c1 + d1 - c2 - d2) * along,
    )
