"""The filter that the source of the pairs was reconstructed with."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

CUTOFF_HZ = 0.5
"""The pairs hold nothing faster."""

_ORDER = 4
_SHORTEST_TRACK_S = 3.0
_PAD_S = 6.0


def low_pass(track: Float[np.ndarray, " frames"], dt_s: float) -> Float[np.ndarray, " frames"]:
    """A track without what is faster than 0.5 Hz (Butterworth, forwards and backwards: no delay).

    Tracks of 3 s and less stay as they are, and so do those whose frames are too far apart.
    """
    frames = len(track)
    if frames * dt_s <= _SHORTEST_TRACK_S or 2.0 * dt_s * CUTOFF_HZ >= 1.0:
        return track
    # The filter starts at rest: without this, a constant speed would swing at both ends.
    line = np.linspace(track[0], track[-1], frames)
    return line + butterworth(track - line, dt_s, min(round(_PAD_S / dt_s), frames - 1))


def butterworth(
    track: Float[np.ndarray, " frames"], dt_s: float, pad: int
) -> Float[np.ndarray, " frames"]:
    """The bare filter, whose ends depend on a mirrored continuation.

    Args:
        track: longer than the continuation.
        dt_s: seconds a frame.
        pad: frames of the continuation at either end.
    """
    from scipy import signal

    sections = signal.butter(_ORDER, CUTOFF_HZ, fs=1.0 / dt_s, output="sos")
    return signal.sosfiltfilt(sections, track, padlen=pad)
