"""Smoothing of tracks that are sampled at a constant rate; all tracks at once.

Savitzky and Golay, 1964: a polynomial is fitted to the frames around each frame.  Rauch, Tung and
Striebel, 1965: Kalman filter forwards, corrections backwards; here with the acceleration as a
random walk (constant acceleration but for white jerk).  The mean of 15 frames, forward-looking, is
PPUU's, for comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from .config import CleanConfig
from .motion import steps_of_all_tracks
from .report import Tally
from .tracks import Tracks

_DEGREE = 3
PPUU_FRAMES = 15
_START_SPEED_MPS, _START_ACCELERATION_MPS2 = 100.0, 10.0
"""Standard deviations of the prior before a track's first position."""


def frames_lost(config: CleanConfig) -> int:
    """Frames at the end of each track that the smoothing takes."""
    return PPUU_FRAMES - 1 if config.smoothing == "ppuu-mean" else 0


def smoothed(tracks: Tracks, config: CleanConfig, dt_s: float, tally: Tally) -> Tracks:
    """Smooths positions and recorded headings; recorded speeds no longer match and are dropped."""
    if config.smoothing == "none":
        return tracks
    tally.repair(f"row smoothed ({config.smoothing})", len(tracks.frame))
    smooth = _smoother(config, tracks.pointer, dt_s)
    tracks = replace(
        tracks,
        x_m=smooth(tracks.x_m),
        y_m=smooth(tracks.y_m),
        heading_rad=None if tracks.heading_rad is None else smooth(np.unwrap(tracks.heading_rad)),
        speed_mps=None,
    )
    lost = frames_lost(config)
    if not lost:
        return tracks
    left = tracks.pointer[1:][tracks.track] - np.arange(len(tracks.frame))
    tally.drop(f"last {lost} frames of a track ({config.smoothing})", (left <= lost).sum())
    return tracks.with_rows(left > lost)


def _smoother(
    config: CleanConfig, pointer: Int[np.ndarray, " tracks_1"], dt_s: float
) -> Callable[[Float[np.ndarray, " rows"]], Float[np.ndarray, " rows"]]:
    if config.smoothing == "savitzky-golay":
        window = 2 * round(0.5 * (config.window_s / dt_s - 1)) + 1
        return lambda values: savitzky_golay(values, pointer, max(window, 1))
    if config.smoothing == "rts":
        noise, agility = config.noise_m, config.agility_mps2
        return lambda values: rauch_tung_striebel(values, pointer, dt_s, noise, agility)
    return lambda values: forward_mean(values, pointer)


def savitzky_golay(
    values: Float[np.ndarray, " rows"], pointer: Int[np.ndarray, " tracks_1"], window: int
) -> Float[np.ndarray, " rows"]:
    """Cubic fits around each frame; near its ends a track takes the fit of its outermost window.

    As ``scipy.signal.savgol_filter`` of each track alone, but in a few calls for all of them.

    Args:
        values: of all tracks.
        pointer: where each track starts, and the number of rows.
        window: frames, odd; a shorter track is one window, of a lower degree if need be.
    """
    from scipy.signal import savgol_filter  # half a second, which no other command need wait for

    def fitted(part: np.ndarray, size: int, mode: str) -> np.ndarray:
        return np.asarray(savgol_filter(part, size, min(_DEGREE, size - 1), mode=mode))

    values = np.asarray(values, float)
    if len(values) == 0:
        return values
    # Right wherever the window lies inside one track; the ends are overwritten.
    result = fitted(values, window, "nearest")
    sizes = np.minimum(window, np.diff(pointer))
    for size in np.unique(sizes).tolist():
        own, columns = sizes == size, np.arange(size)
        kept = size - size // 2
        for first, part in ((pointer[:-1], columns[:kept]), (pointer[1:] - size, columns[-kept:])):
            rows = first[own, None] + columns
            result[rows[:, part]] = fitted(values[rows], size, "interp")[:, part]
    return result


def forward_mean(
    values: Float[np.ndarray, " rows"], pointer: Int[np.ndarray, " tracks_1"]
) -> Float[np.ndarray, " rows"]:
    """PPUU's mean of a frame and the 14 that follow; undefined for the last 14 of each track."""
    ahead = np.convolve(values, np.full(PPUU_FRAMES, 1 / PPUU_FRAMES), mode="full")
    return ahead[PPUU_FRAMES - 1 :]


def rauch_tung_striebel(
    values: Float[np.ndarray, " rows"],
    pointer: Int[np.ndarray, " tracks_1"],
    dt_s: float,
    noise_m: float,
    agility_mps2: float,
) -> Float[np.ndarray, " rows"]:
    """Expected positions given the whole track, with acceleration as a random walk.

    Args:
        values: positions along one axis, of all tracks.
        pointer: where each track starts, and the number of rows.
        dt_s: seconds between frames.
        noise_m: standard deviation of a position.
        agility_mps2: standard deviation of the acceleration's change within a second.
    """
    transition, gains, returns = _gains(int(np.diff(pointer).max()), dt_s, noise_m, agility_mps2)
    states = np.zeros((len(values), 3))
    states[pointer[:-1], 0] = values[pointer[:-1]]
    steps = list(steps_of_all_tracks(pointer))
    for t, (rows, _) in enumerate(steps):
        predicted = states[rows] @ transition.T
        innovation = values[rows + 1] - predicted[:, 0]
        states[rows + 1] = predicted + innovation[:, None] * gains[t]
    for t in range(len(steps) - 1, -1, -1):
        rows = steps[t][0]
        correction = states[rows + 1] - states[rows] @ transition.T
        states[rows] += correction @ returns[t].T
    return states[:, 0]


def _gains(
    frames: int, dt_s: float, noise_m: float, agility_mps2: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transition; gain of each later frame; gain backwards to each frame from its successor.

    They do not depend on the positions, so all tracks share them.
    """
    t = dt_s
    transition = np.array([[1, t, t**2 / 2], [0, 1, t], [0, 0, 1]])
    process = agility_mps2**2 * np.array(
        [
            [t**5 / 20, t**4 / 8, t**3 / 6],
            [t**4 / 8, t**3 / 3, t**2 / 2],
            [t**3 / 6, t**2 / 2, t],
        ]
    )
    covariance = np.diag([noise_m**2, _START_SPEED_MPS**2, _START_ACCELERATION_MPS2**2])
    gains, returns = [], []
    for _ in range(frames - 1):
        ahead = transition @ covariance @ transition.T + process
        returns.append(np.linalg.solve(ahead, transition @ covariance).T)
        gain = ahead[:, 0] / (ahead[0, 0] + noise_m**2)
        # Joseph's form keeps it symmetric and positive.
        factor = np.eye(3) - np.outer(gain, [1.0, 0.0, 0.0])
        covariance = factor @ ahead @ factor.T + noise_m**2 * np.outer(gain, gain)
        gains.append(gain)
    return transition, np.array(gains), np.array(returns)
