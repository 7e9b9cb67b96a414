"""Leakage between splits, and between the training data of a run and its test data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppuu.recordings.recording import Recording

from .rules import Part


@dataclass(frozen=True)
class Leak:
    """Overlap of the clips of two parts of one recording.

    A *vehicle-frame* is one vehicle at one frame.  A clip *contains* every vehicle in view at each
    frame of its history and future; here all vehicles of a frame count.

    Attributes:
        vehicle_frames: vehicle-frames that clips of both parts can contain; a split should have
            none.
        ego_vehicle_frames: those that are an ego's own in both parts, the only ones that a split by
            vehicle excludes.
        vehicles: vehicles that are egos in both parts, at any time.  A split by time does not
            exclude vehicles that are recorded for longer than the gap.
    """

    vehicle_frames: int
    ego_vehicle_frames: int
    vehicles: int


def leak(recording: Recording, one: Part, other: Part) -> Leak:
    """Overlap of the clips of two parts of a recording."""
    contained, own, is_ego = [], [], []
    for part in (one, other):
        inside = (recording.frame >= part.window.first) & (recording.frame < part.window.last)
        ego = np.ones(recording.vehicles, bool)
        if part.egos is not None:
            ego = np.isin(np.arange(recording.vehicles), part.egos)
        own.append(inside & ego[recording.row_vehicle])
        is_ego.append(np.bincount(recording.row_vehicle[own[-1]], minlength=recording.vehicles) > 0)
        contained.append(inside & own[-1].any())
    return Leak(
        vehicle_frames=int((contained[0] & contained[1]).sum()),
        ego_vehicle_frames=int((own[0] & own[1]).sum()),
        vehicles=int((is_ego[0] & is_ego[1]).sum()),
    )


def data_identity(parts: Iterable[tuple[str, Part]]) -> list[dict[str, Any]]:
    """The training data of a run, as JSON values for its configuration.

    Args:
        parts: ``content_hash`` and used part of each recording.
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
    """Names of the recordings with test frames in the training data of a run.

    Args:
        training: a run's configuration, including those of its world model and initial policy.
        recordings: test recordings.
        parts: tested part of each.
    """
    windows: dict[str, list[tuple[int, int]]] = {}
    for entry in _training_data(training or {}):
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


def _training_data(config: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    """All entries of ``data_identity`` in a run's configuration, including earlier runs."""
    for key, value in config.items():
        if key == "data":
            # Hashes without frames carry no information on overlap.
            yield from (entry for entry in value["recordings"] if isinstance(entry, dict))
        elif isinstance(value, dict):
            yield from _training_data(value)
