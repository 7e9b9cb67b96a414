"""Exact integrals of masks over turned boxes, derived anew in numpy; nothing of ppuu is used.

A mask is piecewise bilinear: between the lines where one of its trapezoids has a corner it is a
polynomial of degree one along and one across.  So a box is clipped against those lines (Sutherland
and Hodgman, 1974) and each part cut into triangles; the mean over the middles of a triangle's sides
integrates polynomials of degree two exactly.
"""

from __future__ import annotations

import math

import numpy as np


def trapezoid(place: np.ndarray, half: float, ahead: float, behind: float) -> np.ndarray:
    """1 up to ``half`` either way, falling to 0 over ``ahead`` or ``behind``."""
    fade = np.where(place >= 0, ahead, behind)
    return np.clip(1.0 - (np.abs(place) - half) / fade, 0.0, 1.0)


def exact_mass(box, sizes) -> float:
    """Integral of a mask over a box.

    Args:
        box: ahead, left, turn, length, width; in the ego's frame.
        sizes: half-length, fade ahead, fade behind, half-width, fade to either side.
    """
    half, ahead, behind, wide, side = (float(size) for size in sizes)
    total = 0.0
    for low, high in _bands(half, ahead, behind):
        strip = _between(_corners(box), 0, low, high)
        for right, left in _bands(wide, side, side):
            part = _between(strip, 1, right, left)
            for one, other in zip(part[1:-1], part[2:], strict=True):
                (ax, ay), (bx, by) = one - part[0], other - part[0]
                corners = np.stack([part[0], one, other])
                along, across = (0.5 * (corners + np.roll(corners, 1, axis=0))).T
                value = trapezoid(along, half, ahead, behind) * trapezoid(across, wide, side, side)
                total += 0.5 * abs(ax * by - ay * bx) * value.mean()
    return total


def seen_from(pose, box) -> tuple[float, float, float, float, float]:
    """A box of the world in the frame of a pose."""
    east, north = float(box[0] - pose[0]), float(box[1] - pose[1])
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    turn = float(box[2] - pose[2])
    return cos * east + sin * north, cos * north - sin * east, turn, float(box[3]), float(box[4])


def _corners(box) -> np.ndarray:
    x, y, turn, length, width = (float(value) for value in box)
    cos, sin = math.cos(turn), math.sin(turn)
    own = 0.5 * np.array([[length, width], [-length, width], [-length, -width], [length, -width]])
    return own @ np.array([[cos, sin], [-sin, cos]]) + [x, y]


def _bands(half: float, ahead: float, behind: float) -> list[tuple[float, float]]:
    """Where a trapezoid is linear; at 0 the side changes, but not the value."""
    return [(-half - behind, -half), (-half, half), (half, half + ahead)]


def _between(polygon: np.ndarray, axis: int, low: float, high: float) -> np.ndarray:
    return _clipped(_clipped(polygon, axis, low, 1.0), axis, high, -1.0)


def _clipped(polygon: np.ndarray, axis: int, edge: float, sign: float) -> np.ndarray:
    """The part of a convex polygon whose coordinate, times a sign, is not below the edge's."""
    found = []
    for one, other in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        inside, then = sign * (one[axis] - edge), sign * (other[axis] - edge)
        if inside >= 0:
            found.append(one)
        if inside * then < 0:
            found.append(one + (other - one) * (inside / (inside - then)))
    return np.array(found).reshape(-1, 2)
