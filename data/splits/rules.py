"""Rules of splits: by time, without common frames; by vehicle, as in PPUU; and by site."""

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

FRACTIONS: dict[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}
GAP_S = 10.0
"""Unused time between two windows, for vehicles to leave the scene."""
SHORTEST_SPLIT_S = 60.0
"""Shorter recordings are not divided; they only have the split ``all``."""


@dataclass(frozen=True)
class FrameWindow:
    """The frames ``first <= frame < last``; all frames of a clip must be in it."""

    first: int
    last: int

    @property
    def frames(self) -> int:
        """Number of frames in the window."""
        return self.last - self.first


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a recording that belongs to a split.

    Attributes:
        window: frames, including histories and futures.
        egos: ``(n,)`` possible egos, ascending; all vehicles if None.
    """

    window: FrameWindow
    egos: Int[np.ndarray, " n"] | None = None


def time_windows(frames: int, dt_s: float) -> dict[str, FrameWindow]:
    """Windows of a recording by its number of frames: train, gap, val, gap, test; and all.

    The fractions (70, 10 and 20 %) refer to the time without the two gaps.  A recording shorter
    than ``SHORTEST_SPLIT_S`` has only ``all``.
    """
    windows = {"all": FrameWindow(0, frames)}
    if frames * dt_s < SHORTEST_SPLIT_S - 0.5 * dt_s:
        return windows
    gap = seconds_to_frames(GAP_S, dt_s)
    usable = frames - 2 * gap
    train = FrameWindow(0, int(FRACTIONS["train"] * usable))
    val = FrameWindow(train.last + gap, train.last + gap + int(FRACTIONS["val"] * usable))
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

    Training and test vehicles have common frames, so results on this split are biased in favour of
    memorisation; it is for comparison with published numbers.

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
    """Assigns whole sites to splits, to test generalisation to new sites.

    The largest site (in vehicle-frames) is for training, the second for test, the third for
    validation; each further one is assigned to the split that is furthest below its fraction (70,
    10 and 20 %).

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
    lacking = {split: fraction * total for split, fraction in FRACTIONS.items()}
    chosen: dict[str, Split] = {}
    first: list[Split] = ["train", "test", "val"]
    for name in sorted(rows, key=lambda name: (-rows[name], name)):
        split = first.pop(0) if first else max(FRACTIONS, key=lambda split: lacking[split])
        chosen[name] = split
        lacking[split] -= rows[name]
    return [chosen[name] for name in sites]


def site(recording: Recording) -> str:
    """Site of a recording: its provenance's ``site``, or else a hash of its road.

    Recordings without that entry have the same site if their roads are equal.
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
