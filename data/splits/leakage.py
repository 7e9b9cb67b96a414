"""What two splits have in common, and what a trained run has seen of what it is tested on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppuu.recordings.recording import Recording

from .rules import Part


@dataclass(frozen=True)
class Leak:
    """What clips of two parts of one recording can share.

    A *vehicle-frame* is one vehicle at one frame.  A clip *shows* every vehicle of each frame from
    its history's first to its future's last, as far as the view reaches; here all of them count.

    Attributes:
        vehicle_frames: vehicle-frames that clips of both parts can show: the strict notion, and
            what a split should have none of.
        ego_vehicle_frames: those among them that are an ego's own, in both parts: the weak notion,
            all that a split by vehicle rules out.
        vehicles: vehicles that are egos in both parts, at whatever time.  A split by time lets
            those recur that stay in the picture for longer than the gap: the same driver, elsewhere
            and later.
    """

    vehicle_frames: int
    ego_vehicle_frames: int
    vehicles: int


def leak(recording: Recording, one: Part, other: Part) -> Leak:
    """What clips of two parts of a recording can share."""
    shown, own, drives = [], [], []
    for part in (one, other):
        inside = (recording.frame >= part.window.first) & (recording.frame < part.window.last)
        ego = np.ones(recording.vehicles, bool)
        if part.egos is not None:
            ego = np.isin(np.arange(recording.vehicles), part.egos)
        own.append(inside & ego[recording.row_vehicle])
        drives.append(np.bincount(recording.row_vehicle[own[-1]], minlength=recording.vehicles) > 0)
        shown.append(inside & own[-1].any())
    return Leak(
        vehicle_frames=int((shown[0] & shown[1]).sum()),
        ego_vehicle_frames=int((own[0] & own[1]).sum()),
        vehicles=int((drives[0] & drives[1]).sum()),
    )


def data_identity(parts: Iterable[tuple[str, Part]]) -> list[dict[str, Any]]:
    """What a run learns from, as JSON values for its configuration.

    Args:
        parts: the ``content_hash`` of each recording and the part that is used of it.
    """
    return [
        {
            "content_hash": content_hash,
            "first_frame": part.window.first,
            "last_frame": part.window.last - 1,
        }
        for content_hash, part in parts
    ]


def seen_in_training(
    training: Mapping[str, Any] | None, recordings: Sequence[Recording], parts: Sequence[Part]
) -> list[str]:
    """Names of the recordings of which a run has seen frames that it is to be tested on.

    Args:
        training: a run's configuration; what its world model and its first policy learnt from is
            part of it.
        recordings: what it is tested on.
        parts: which part of each.
    """
    windows: dict[str, list[tuple[int, int]]] = {}
    for entry in _learnt_from(training or {}):
        window = (entry["first_frame"], entry["last_frame"])
        windows.setdefault(entry["content_hash"], []).append(window)
    return [
        recording.name
        for recording, part in zip(recordings, parts, strict=True)
        if any(
            first < part.window.last and last >= part.window.first
            for first, last in windows.get(recording.content_hash, [])
        )
    ]


def _learnt_from(config: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """All entries of ``data_identity`` in a run's configuration, those of earlier runs included."""
    for key, value in config.items():
        if key == "data":
            # Runs of earlier versions list bare hashes, which tell nothing of frames.
            yield from (entry for entry in value["recordings"] if isinstance(entry, dict))
        elif isinstance(value, dict):
            yield from _learnt_from(value)
