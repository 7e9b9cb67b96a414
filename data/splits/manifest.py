"""Split manifests: files that define the frames and vehicles of each split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .rules import (
    FRACTIONS,
    GAP_S,
    By,
    FrameWindow,
    Part,
    Split,
    by_site,
    by_vehicle,
    site,
    time_windows,
    window,
)

FORMAT = "ppuu-split"
VERSION = 1
VEHICLE_FRACTIONS: dict[Split, float] = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclass(frozen=True, eq=False)
class DividedRecording:
    """Entry of a recording.

    Attributes:
        name: for information only.
        content_hash: identifies the recording (``Recording.content_hash``).
        site: of the recording.
        frames, vehicles: their number.
        parts: part of each split; missing splits have none.
    """

    name: str
    content_hash: str
    site: str
    frames: int
    vehicles: int
    parts: Mapping[str, Part]


@dataclass(frozen=True, eq=False)
class SplitManifest:
    """Splits of some recordings; valid for any subset of them.

    Attributes:
        by: rule.
        recordings: entries.
    """

    by: By
    recordings: Sequence[DividedRecording]

    def part(self, recording: Recording, split: Split) -> Part | None:
        """The part of a recording that belongs to a split; None if none.  ``all`` is everything.

        Raises:
            InputError: the recording is not in the manifest.
        """
        for entry in self.recordings:
            if entry.content_hash == recording.content_hash:
                whole = Part(FrameWindow(0, entry.frames))
                return whole if split == "all" else entry.parts.get(split)
        raise InputError(
            f"recording '{recording.name}' is not in the split manifest, or has changed; "
            "write the manifest again with python -m data.splits"
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the content, stored in runs and results."""
        return hashlib.sha256(json.dumps(self._json(), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Writes the JSON file, atomically."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(self._json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> SplitManifest:
        """Reads a manifest file.

        Raises:
            InputError: missing, not JSON, of another format or version, or inconsistent.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; write it with python -m data.splits") from None
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg})"
            ) from None
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error.reason})") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: not a split manifest; write it with python -m data.splits")
        if content.get("version") != VERSION:
            raise InputError(
                f"{path}: manifest version {content.get('version')}, this program reads "
                f"{VERSION}; write it again with python -m data.splits"
            )
        try:
            if content["by"] not in get_args(By):
                raise ValueError(f"'by' is {content['by']!r}")
            return cls(content["by"], tuple(_read(entry) for entry in content["recordings"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path}: damaged ({reason}); write it again") from None

    def _json(self) -> dict[str, Any]:
        rule = {
            "time": {"shares": FRACTIONS, "gap_s": GAP_S},
            "vehicle": {"shares": VEHICLE_FRACTIONS},
            "site": {"shares": FRACTIONS},
        }[self.by]
        return {
            "format": FORMAT,
            "version": VERSION,
            "by": self.by,
            **rule,
            "recordings": [
                {
                    "name": entry.name,
                    "content_hash": entry.content_hash,
                    "site": entry.site,
                    "frames": entry.frames,
                    "vehicles": entry.vehicles,
                    "parts": {split: _part_json(part) for split, part in entry.parts.items()},
                }
                for entry in self.recordings
            ],
        }


def part_of(recording: Recording, split: Split, manifest: SplitManifest | None) -> Part | None:
    """The part of a recording that belongs to a split, by the manifest or else by time.

    Raises:
        InputError: the recording is not in the manifest, or too short to be divided by time.
    """
    if manifest is None:
        return Part(window(recording, split))
    return manifest.part(recording, split)


def divide(recordings: Sequence[Recording], by: By) -> SplitManifest:
    """Divides recordings by a rule.

    Raises:
        InputError: two recordings with the same tracks, or too few sites for ``by`` site.
    """
    hashes = [recording.content_hash for recording in recordings]
    for index, recording in enumerate(recordings):
        if recording.content_hash in hashes[:index]:
            raise InputError(
                f"recordings '{recordings[hashes.index(hashes[index])].name}' and "
                f"'{recording.name}' hold the same tracks; give each once"
            )
    whole = by_site(recordings) if by == "site" else []
    entries = []
    for index, recording in enumerate(recordings):
        everything = FrameWindow(0, recording.frames)
        if by == "time":
            windows = time_windows(recording.frames, recording.dt_s)
            parts = {split: Part(frames) for split, frames in windows.items() if split != "all"}
        elif by == "vehicle":
            parts = {
                split: Part(everything, by_vehicle(recording, split)) for split in VEHICLE_FRACTIONS
            }
        else:
            parts = {whole[index]: Part(everything)}
        entries.append(
            DividedRecording(
                name=recording.name,
                content_hash=recording.content_hash,
                site=site(recording),
                frames=recording.frames,
                vehicles=recording.vehicles,
                parts=parts,
            )
        )
    return SplitManifest(by, tuple(entries))


def _part_json(part: Part) -> dict[str, Any]:
    egos = None if part.egos is None else part.egos.tolist()
    return {"first_frame": part.window.first, "last_frame": part.window.last - 1, "egos": egos}


def _read(entry: dict[str, Any]) -> DividedRecording:
    numbers = {key: _natural(entry[key], key) for key in ("frames", "vehicles")}
    texts = {key: entry[key] for key in ("name", "content_hash", "site")}
    if not all(isinstance(value, str) for value in texts.values()):
        raise ValueError(f"recording {texts['name']!r}: name, content_hash and site must be text")
    parts = {}
    for split, part in dict(entry["parts"]).items():
        where = f"recording '{texts['name']}', split {split!r}"
        if split not in FRACTIONS:
            raise ValueError(f"{where}: no such split")
        first, last = (_natural(part[key], where) for key in ("first_frame", "last_frame"))
        if not first <= last < numbers["frames"]:
            raise ValueError(f"{where}: frames {first} to {last} of {numbers['frames']}")
        egos = part["egos"]
        if egos is not None:
            egos = np.array([_natural(ego, where) for ego in egos], np.int64)
            if (np.diff(egos) <= 0).any() or (egos >= numbers["vehicles"]).any():
                raise ValueError(f"{where}: egos must ascend and be below {numbers['vehicles']}")
        parts[split] = Part(FrameWindow(first, last + 1), egos)
    return DividedRecording(**texts, **numbers, parts=parts)


def _natural(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}: {value!r} is not a whole number from 0")
    return value
