"""A smooth curve through a noisy track."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_WINDOW_S = 2.1
_DEGREE = 3


def long_enough(frames: int, dt_s: float) -> bool:
    """Whether a track can be smoothed."""
    return frames >= _window(dt_s) > _DEGREE


def smooth(
    track: Float[np.ndarray, " frames"], dt_s: float, derivative: int = 0
) -> Float[np.ndarray, " frames"]:
    """The track, or a derivative of it, by cubic polynomials over 2.1 s (Savitzky-Golay).

    Args:
        track: ``long_enough``.
        dt_s: seconds a frame.
        derivative: its order.
    """
    from scipy import signal

    return np.asarray(
        signal.savgol_filter(track, _window(dt_s), _DEGREE, deriv=derivative, delta=dt_s)
    )


def _window(dt_s: float) -> int:
    return round(_WINDOW_S / dt_s) // 2 * 2 + 1
