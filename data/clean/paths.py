"""Smoothing of tracks as a vehicle moves: a path in space, and progress along it in time.

Sideways, a vehicle moves by steering, so its path bends by so much a metre, not a second: in a
queue, jitter is no motion.  Progress is smoothed over time; then the path is smoothed over
the distance travelled, as a thin beam through the positions (least curvature).  Both are penalised
splines (``splines``), without lag.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from .motion import motion, slope, speed_of
from .splines import KnotGrid, Penalty, fit
from .tracks import Tracks

_KNOTS_A_WAVE = 8
"""Knots in the shortest period or wave; more change nothing."""
_SHORT_M = 2.0
"""On a shorter way the direction of motion cannot be seen: the path is straight."""
_STANDING_MPS = 0.1
"""A vehicle that stands is weighted as one that moves at this speed."""
_STRAIGHT = 1e3
"""Penalty on sideways slope, which makes a path straight."""


def smoothed_paths(
    tracks: Tracks, dt_s: float, shortest_period_s: float, shortest_wave_m: float
) -> Tracks:
    """Positions, headings and speeds of smooth motion.

    Headings are those of the path, as the kinematic model has it; recorded ones tell which way is
    forward, and are the headings of vehicles that hardly move.  Speeds are those of the positions.

    Args:
        tracks: at consecutive frames.
        dt_s: between frames.
        shortest_period_s: faster motion is taken for noise.
        shortest_wave_m: sideways, so are shorter waves, where they take longer than that.
    """
    pointer = tracks.pointer
    toward = _direction(tracks, dt_s)
    progress_m = _progress(tracks, toward, dt_s, shortest_period_s)
    speed_mps = slope(progress_m, pointer, 1) / dt_s
    grid = KnotGrid.along(progress_m, pointer, shortest_wave_m / _KNOTS_A_WAVE)
    track = tracks.track
    counts = np.diff(pointer)
    # Deviations from a straight line, which are small numbers.
    travelled_m = progress_m[pointer[1:] - 1]
    mean = np.add.reduceat(toward, pointer[:-1]) / counts
    length = np.abs(mean)
    mean = np.where(length > 0, mean / np.where(length > 0, length, 1.0), 0.0)
    position = tracks.x_m + 1j * tracks.y_m
    line = position[pointer[:-1]][track] + mean[track] * progress_m
    owner = np.repeat(np.arange(len(counts)), np.diff(grid.start))
    slowest_mps = shortest_wave_m / shortest_period_s
    at_knot = _speed_at_knots(grid, progress_m, speed_mps, pointer, travelled_m)
    bend = (shortest_period_s / math.tau) ** 4 * np.maximum(at_knot, slowest_mps) ** 3
    straight = np.where(travelled_m < _SHORT_M, _STRAIGHT, 0.0)[owner]
    # Below that speed rows count by the metre, not by the second.
    weight = dt_s * np.clip(speed_mps / slowest_mps, _STANDING_MPS / slowest_mps, 1.0)
    aside = position - line
    found = fit(
        grid,
        np.stack([aside.real, aside.imag], axis=1),
        weight,
        (Penalty(2, bend), Penalty(1, straight)),
    )
    position = line + grid.values(found[:, 0]) + 1j * grid.values(found[:, 1])
    tangent = mean[track] + grid.slopes(found[:, 0]) + 1j * grid.slopes(found[:, 1])
    x_m, y_m = position.real, position.imag
    return replace(
        tracks, x_m=x_m, y_m=y_m, heading_rad=np.angle(tangent),
        speed_mps=speed_of(x_m, y_m, pointer, dt_s),
    )  # fmt: skip


def _direction(tracks: Tracks, dt_s: float) -> np.ndarray:
    """Unit vectors along which the vehicle moves; 0 where it never moves."""
    if tracks.heading_rad is not None:
        return np.exp(1j * tracks.heading_rad)
    heading, _ = motion(tracks.x_m, tracks.y_m, tracks.pointer, dt_s)
    return np.exp(1j * heading)


def _progress(
    tracks: Tracks, toward: np.ndarray, dt_s: float, shortest_period_s: float
) -> Float[np.ndarray, " rows"]:
    """Distance travelled since each track's first row: smooth, never decreasing."""
    pointer, track = tracks.pointer, tracks.track
    position = tracks.x_m + 1j * tracks.y_m
    # Forward along the mean direction of both frames, so noise does not add up to distance.
    middle = toward[1:] + toward[:-1]
    length = np.abs(middle)
    step = np.diff(position) * np.conj(middle) / np.where(length > 0, length, 1.0)
    travelled = np.concatenate([[0.0], np.cumsum(step.real)])
    travelled -= travelled[pointer[:-1]][track]
    time_s = dt_s * (np.arange(len(track)) - pointer[:-1][track])
    grid = KnotGrid.along(time_s, pointer, shortest_period_s / _KNOTS_A_WAVE)
    stiffness = (shortest_period_s / math.tau) ** 6
    found = fit(grid, travelled[:, None], np.full(len(track), dt_s), (Penalty(3, stiffness),))
    forward = _never_decreasing(grid.values(found[:, 0]), pointer)
    return forward - forward[pointer[:-1]][track]


def _never_decreasing(
    values: Float[np.ndarray, " rows"], pointer: Int[np.ndarray, " tracks_1"]
) -> Float[np.ndarray, " rows"]:
    """The mean of the largest value so far and the smallest from here on, in each track."""
    track = np.repeat(np.arange(len(pointer) - 1), np.diff(pointer))
    low = np.minimum.reduceat(values, pointer[:-1])
    span = np.maximum.reduceat(values, pointer[:-1]) - low
    # Shifted so that each track lies above the one before.
    shift = (np.cumsum(span + 1.0) - (span + 1.0) - low)[track]
    values = values + shift
    so_far = np.maximum.accumulate(values)
    from_here = np.minimum.accumulate(values[::-1])[::-1]
    return 0.5 * (so_far + from_here) - shift


def _speed_at_knots(
    grid: KnotGrid, progress_m: np.ndarray, speed_mps: np.ndarray, pointer: np.ndarray,
    travelled_m: np.ndarray,
) -> Float[np.ndarray, " coefficients"]:  # fmt: skip
    """Speed where each B-spline is largest."""
    apart_m = 10 * grid.spacing
    begins = np.cumsum(travelled_m + apart_m) - travelled_m - apart_m
    counts = np.diff(grid.start)
    return np.interp(
        grid.station + np.repeat(begins, counts),
        progress_m + np.repeat(begins, np.diff(pointer)),
        speed_mps,
    )
