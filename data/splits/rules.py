"""The rules: by time, so that no splits share a frame; PPUU's by vehicle; and by site."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int

from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError
from ppuu.units import seconds_to_frames

Split = Literal["train", "val", "test", "all"]
By = Literal["time", "vehicle", "site"]

SHARES: dict[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
GAP_S = 10.0
"""Time left unused between two windows: a vehicle seen at the end of one has moved on by then."""
SHORTEST_SPLIT_S = 60.0
"""Shorter recordings are not divided; they have the one split ``all``."""


@dataclass(frozen=True)
class FrameWindow:
    """The frames ``first <= frame < last``; a clip belongs to it if all its frames do."""

    first: int
    last: int

    @property
    def frames(self) -> int:
        """Number of frames in the window."""
        return self.last - self.first


@dataclass(frozen=True, eq=False)
class Part:
    """What one split may use of one recording.

    Attributes:
        window: the frames, those of history and future included.
        egos: ``(n,)`` vehicles to look through the eyes of, ascending; all of them if None.
    """

    window: FrameWindow
    egos: Int[np.ndarray, " n"] | None = None


def time_windows(frames: int, dt_s: float) -> dict[str, FrameWindow]:
    """The windows of a recording of so many frames, in order: train, gap, val, gap, test; and all.

    The shares (70, 10 and 20 %) are of the time that the two gaps leave.  A recording shorter
    than ``SHORTEST_SPLIT_S`` has only ``all``.
    """
    windows = {"all": FrameWindow(0, frames)}
    if frames * dt_s < SHORTEST_SPLIT_S - 0.5 * dt_s:
        return windows
    gap = seconds_to_frames(GAP_S, dt_s)
    usable = frames - 2 * gap
    train = FrameWindow(0, int(SHARES["train"] * usable))
    val = FrameWindow(train.last + gap, train.last + gap + int(SHARES["val"] * usable))
    test = FrameWindow(val.last + gap, frames)
    return {"train": train, "val": val, "test": test} | windows


def window(recording: Recording, split: Split) -> FrameWindow:
    """The frames of one split of a recording.

    Raises:
        InputError: no such split, or the recording is too short to be divided.
    """
    windows = time_windows(recording.frames, recording.dt_s)
    if split in windows:
        return windows[split]
    _check_name(split)
    raise InputError(
        f"recording '{recording.name}' lasts {recording.duration_s:.1f} s, less than the "
        f"{SHORTEST_SPLIT_S:.0f} s needed to divide it; use --split all"
    )


def by_vehicle(recording: Recording, split: Split) -> Int[np.ndarray, " n"]:
    """PPUU's split (Henaff et al., 2019): 80/10/10 % of the vehicles, drawn with seed 0.

    Training and test vehicles of one recording share frames, so figures on this split flatter a
    model that remembers; it is here for comparison with published numbers.

    Returns:
        Vehicle indices, ascending.
    """
    _check_name(split)
    order = np.random.RandomState(0).permutation(recording.vehicles)
    train = int(0.8 * recording.vehicles)
    val = train + int(0.1 * recording.vehicles)
    parts = {
        "train": order[:train], "val": order[train:val], "test": order[val:], "all": order,
    }  # fmt: skip
    return np.sort(parts[split]).astype(np.int64)


def by_site(recordings: Sequence[Recording]) -> list[Split]:
    """Gives whole sites to a split, so that tests are of places never seen.

    The largest site (in vehicle-frames) trains, the second tests, the third validates; each
    further one goes to the split that lacks most of its share (70, 10 and 20 %).

    Returns:
        The split of each recording.

    Raises:
        InputError: fewer than three sites.
    """
    rows: dict[str, int] = {}
    sites = [site(recording) for recording in recordings]
    for name, recording in zip(sites, recordings, strict=True):
        rows[name] = rows.get(name, 0) + recording.rows
    if len(rows) < 3:
        raise InputError(
            f"{len(rows)} site(s), {', '.join(sorted(rows))}: dividing by site needs three; give "
            "recordings of more sites, or divide by time"
        )
    total = sum(rows.values())
    lacking = {split: share * total for split, share in SHARES.items()}
    chosen: dict[str, Split] = {}
    first: list[Split] = ["train", "test", "val"]
    for name in sorted(rows, key=lambda name: (-rows[name], name)):
        split = first.pop(0) if first else max(SHARES, key=lambda split: lacking[split])
        chosen[name] = split
        lacking[split] -= rows[name]
    return [chosen[name] for name in sites]


def site(recording: Recording) -> str:
    """Where a recording was taken: its provenance's ``site``, or else what its road looks like.

    Recordings without that entry are of one site only if their roads are equal.
    """
    named = recording.provenance.get("site")
    if isinstance(named, str) and named:
        return named
    road = recording.road
    digest = hashlib.sha256()
    for array in (road.lane_pointer, road.left_m, road.right_m):
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"road {digest.hexdigest()[:8]}"


def _check_name(split: str) -> None:
    if split not in get_args(Split):
        raise InputError(f"no split '{split}'; there are {', '.join(get_args(Split))}")
