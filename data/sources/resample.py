"""Resampling from a camera's frame rate to that of the project."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ppuu.runtime.errors import InputError

from ..clean.checks import check_values
from ..raw_tracks import RawTracks

PROJECT_HZ = 10.0
_LINEAR = ("x_m", "y_m", "speed_mps", "recorded_speed_mps", "length_m", "width_m")
_SAME_HZ = 1e-6
"""Relative difference below which two frame rates are equal."""
_ON_A_ROW = 1e-6
"""Tolerance, in recorded frames, for a new frame at a recorded one."""
LOWEST_HZ, HIGHEST_HZ = 1.0, 1000.0


def check_rate(frame_rate_hz: float) -> None:
    """Checks the range of a frame rate.

    Raises:
        InputError: it is not in ``LOWEST_HZ`` to ``HIGHEST_HZ``.
    """
    if not LOWEST_HZ <= frame_rate_hz <= HIGHEST_HZ:
        raise InputError(
            f"frame_rate_hz is {frame_rate_hz:g}; give a rate of {LOWEST_HZ:g} to {HIGHEST_HZ:g}"
        )


def resampled(tracks: RawTracks, frame_rate_hz: float) -> RawTracks:
    """The same tracks at another frame rate, frame 0 staying where it is in time.

    Positions, headings (the short way round) and speeds are interpolated linearly between two
    consecutive frames; at 25 Hz and an acceleration of 5 m/s² that is 1 mm off.  Missing frames
    are not interpolated: they stay gaps for ``data.clean``.

    Args:
        tracks: with frame numbers at ``1 / tracks.dt_s``.
        frame_rate_hz: of the result; the tracks are unchanged if it is theirs.

    Returns:
        Tracks whose frames count ``1 / frame_rate_hz``; each row keeps the line of the last
        recorded row before it; ``provenance["recorded_hz"]`` is the original rate.

    Raises:
        InputError: a rate that ``check_rate`` refuses, two rows of one vehicle in one frame, or as
            ``data.clean.checks.check_values``.
    """
    check_rate(frame_rate_hz)
    recorded_hz = 1.0 / tracks.dt_s
    step = recorded_hz / frame_rate_hz
    if abs(step - 1.0) < _SAME_HZ or not len(tracks.frame):
        return tracks
    check_values(tracks)
    order = np.lexsort((tracks.frame, tracks.vehicle))
    vehicle, frame = tracks.vehicle[order], tracks.frame[order]
    same = (vehicle[1:] == vehicle[:-1]) & (frame[1:] == frame[:-1])
    if same.any():
        raise InputError(
            f"{tracks.place(order[np.argmax(same) + 1], 'vehicle', 'frame')}: a second row of this "
            "vehicle in this frame; keep one of them"
        )
    following = np.append((vehicle[1:] == vehicle[:-1]) & (np.diff(frame) == 1), False)
    # Row i answers for the new frames in [frame, frame + 1); alone, for one at frame itself.
    first = np.ceil((frame - _ON_A_ROW) / step).astype(np.int64)
    beyond = np.ceil((frame + 1 - _ON_A_ROW) / step)
    alone = np.floor((frame + _ON_A_ROW) / step) + 1
    count = np.where(following, beyond, alone).astype(np.int64) - first
    row = np.repeat(np.arange(len(frame)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    new_frame = first[row] + within
    fraction = np.clip(new_frame * step - frame[row], 0.0, 1.0)
    before, after = order[row], order[row + following[row]]
    columns = {
        name: values[before] + fraction * (values[after] - values[before])
        for name in _LINEAR
        if (values := getattr(tracks, name)) is not None
    }
    if tracks.heading_rad is not None:
        turn = tracks.heading_rad[after] - tracks.heading_rad[before]
        turn = np.remainder(turn + np.pi, 2 * np.pi) - np.pi
        columns["heading_rad"] = tracks.heading_rad[before] + fraction * turn
    fewer = len(frame) - len(row)
    left_out = dict(tracks.left_out)
    if fewer > 0:
        left_out[f"from {recorded_hz:g} to {frame_rate_hz:g} frames a second"] = fewer
    return replace(
        tracks,
        **columns,
        dt_s=1.0 / frame_rate_hz,
        vehicle=tracks.vehicle[before],
        frame=new_frame,
        line=None if tracks.line is None else tracks.line[before],
        left_out=left_out,
        provenance={**tracks.provenance, "recorded_hz": recorded_hz},
    )
