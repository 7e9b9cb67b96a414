"""Tracks from raw rows: sorting, splitting, and interpolation of gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.runtime.errors import InputError
from ppuu.units import seconds_to_frames

from ..raw_tracks import RawTracks
from .config import CleanConfig
from .report import Tally

_COLUMNS = ("frame", "x_m", "y_m", "heading_rad", "speed_mps")


@dataclass(frozen=True, eq=False)
class Tracks:
    """Concatenated tracks; track ``k`` owns the rows ``pointer[k]:pointer[k + 1]``.

    Attributes:
        vehicle: ``(tracks,)`` number in the source.
        length_m, width_m: ``(tracks,)``.
        pointer: ``(tracks + 1,)``.
        frame: ``(rows,)`` as recorded.
        x_m, y_m: ``(rows,)``.
        heading_rad, speed_mps: ``(rows,)``; None if the source has none.
    """

    vehicle: Int[np.ndarray, " tracks"]
    length_m: Float[np.ndarray, " tracks"]
    width_m: Float[np.ndarray, " tracks"]
    pointer: Int[np.ndarray, " tracks_1"]
    frame: Int[np.ndarray, " rows"]
    x_m: Float[np.ndarray, " rows"]
    y_m: Float[np.ndarray, " rows"]
    heading_rad: Float[np.ndarray, " rows"] | None
    speed_mps: Float[np.ndarray, " rows"] | None

    @property
    def track(self) -> Int[np.ndarray, " rows"]:
        """Index of the track of each row."""
        return np.repeat(np.arange(len(self.vehicle)), np.diff(self.pointer))

    def with_rows(self, chosen: Bool[np.ndarray, " rows"]) -> Tracks:
        """The selected rows; tracks without rows are removed."""
        counts = np.add.reduceat(chosen, self.pointer[:-1], dtype=np.int64)
        remaining = counts > 0
        columns = {key: getattr(self, key) for key in _COLUMNS}
        return replace(
            self,
            vehicle=self.vehicle[remaining],
            length_m=self.length_m[remaining],
            width_m=self.width_m[remaining],
            pointer=np.concatenate([[0], np.cumsum(counts[remaining])]),
            **{key: None if c is None else c[chosen] for key, c in columns.items()},
        )


def ordered_rows(rows: RawTracks, config: CleanConfig, tally: Tally) -> Int[np.ndarray, " kept"]:
    """Row indices sorted by vehicle and frame, without duplicates.

    Raises:
        InputError: two rows of a vehicle in one frame, if these are rejected.
    """
    step = np.diff(rows.vehicle)
    sorted_already = (step > 0) | ((step == 0) & (np.diff(rows.frame) >= 0))
    order = (
        np.arange(len(rows.frame))
        if sorted_already.all()
        else np.lexsort((rows.frame, rows.vehicle))
    )
    duplicate = (np.diff(rows.vehicle[order]) == 0) & (np.diff(rows.frame[order]) == 0)
    if duplicate.any() and config.duplicates == "refuse":
        row = order[np.flatnonzero(duplicate)[0] + 1]
        raise InputError(
            f"{rows.place(row, 'vehicle', 'frame')}: a second row of this vehicle in this frame; "
            "remove one of them, or use --duplicates keep-first"
        )
    tally.drop("second row of a vehicle in a frame", duplicate.sum())
    return order[np.concatenate([[True], ~duplicate])]


def split(rows: RawTracks, config: CleanConfig, tally: Tally) -> Tracks:
    """Tracks from sorted rows, split at long gaps and at jumps."""
    order = ordered_rows(rows, config, tally)
    vehicle, frame = rows.vehicle[order], rows.frame[order].astype(np.int64)
    x_m, y_m = rows.x_m[order], rows.y_m[order]
    longest = config.longest_gap if config.fill_gaps else 0
    missing = np.diff(frame) - 1
    same = vehicle[1:] == vehicle[:-1]
    gap = same & (missing > longest)
    tally.repair(f"track split at a gap of more than {longest} frames", gap.sum())
    jump = np.zeros_like(gap)
    if config.split_jumps:
        step_m = np.hypot(np.diff(x_m), np.diff(y_m))
        jump = same & ~gap & (step_m > config.jump_mps * rows.dt_s * (missing + 1))
    tally.repair(f"track split at a jump (faster than {config.jump_mps:.0f} m/s)", jump.sum())
    pointer = np.concatenate([[0], np.flatnonzero(~same | gap | jump) + 1, [len(frame)]])
    speed_mps = None
    if rows.speed_mps is not None:
        tally.repair("speed of -0.01 to 0 m/s set to 0", (rows.speed_mps < 0).sum())
        speed_mps = np.maximum(rows.speed_mps[order], 0.0)
    return Tracks(
        vehicle=vehicle[pointer[:-1]],
        length_m=_medians(rows.length_m[order], pointer),
        width_m=_medians(rows.width_m[order], pointer),
        pointer=pointer,
        frame=frame,
        x_m=x_m,
        y_m=y_m,
        heading_rad=None if rows.heading_rad is None else rows.heading_rad[order],
        speed_mps=speed_mps,
    )


def without_short(
    tracks: Tracks, config: CleanConfig, dt_s: float, lost: int, file: str, tally: Tally
) -> Tracks:
    """Removes short tracks.

    Args:
        lost: frames that smoothing will remove from each track.

    Raises:
        InputError: no track is long enough.
    """
    shortest = seconds_to_frames(config.shortest_track_s, dt_s) + lost
    last, first = tracks.frame[tracks.pointer[1:] - 1], tracks.frame[tracks.pointer[:-1]]
    short = (last - first + 1 < shortest)[tracks.track]
    smoothed = f" and the {lost} frames of the smoothing" if lost else ""
    why = f"track shorter than {config.shortest_track_s:g} s{smoothed}"
    tally.drop(why, short.sum())
    if short.all():
        raise InputError(
            f"{file}: no track of at least {shortest * dt_s:g} s; is it the right file?"
        )
    return tracks.with_rows(~short) if short.any() else tracks


def filled(tracks: Tracks, tally: Tally) -> Tracks:
    """Interpolates missing frames, so that every track's frames are consecutive."""
    first, last = tracks.frame[tracks.pointer[:-1]], tracks.frame[tracks.pointer[1:] - 1]
    counts = last - first + 1
    pointer = np.concatenate([[0], np.cumsum(counts)])
    missing = int(pointer[-1]) - len(tracks.frame)
    if not missing:
        return tracks
    tally.repair("frame filled by interpolation", missing)
    # The first and last row of each track exist, so there is no interpolation across tracks.
    position = tracks.frame + (pointer[:-1] - first)[tracks.track]
    every = np.arange(pointer[-1])

    def fill(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.interp(every, position, values)

    heading = None if tracks.heading_rad is None else np.unwrap(tracks.heading_rad)
    return replace(
        tracks,
        pointer=pointer,
        frame=every - np.repeat(pointer[:-1] - first, counts),
        x_m=fill(tracks.x_m),
        y_m=fill(tracks.y_m),
        heading_rad=fill(heading),
        speed_mps=fill(tracks.speed_mps),
    )


def _medians(values: np.ndarray, pointer: np.ndarray) -> Float[np.ndarray, " tracks"]:
    """Median of the rows of each track."""
    values = np.asarray(values, float)
    track = np.repeat(np.arange(len(pointer) - 1), np.diff(pointer))
    lowest = np.minimum.reduceat(values, pointer[:-1])
    if np.array_equal(lowest, np.maximum.reduceat(values, pointer[:-1])):
        return lowest
    ranked = values[np.lexsort((values, track))]
    first, count = pointer[:-1], np.diff(pointer)
    return 0.5 * (ranked[first + (count - 1) // 2] + ranked[first + count // 2])
