"""The manifest of a corpus: what it was drawn from, and what each recording holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, read_json

from .ranges import MEANINGS, RANGES, VERSION

FORMAT = "ppuu-corpus"
NAME = "manifest.json"
FAULTS = ("overlapping_pairs", "off_road_rows", "seen_overlapping_pairs", "seen_off_road_rows")
"""Of the traffic itself, and of the recording with a sensor's errors."""


def check_folder(folder: Path, seed: int, held_out: float) -> None:
    """Refuses a folder that holds something else than this corpus.

    Raises:
        InputError: a corpus of another seed, version or held-out fraction; or recordings without
            a manifest.
    """
    path = folder / NAME
    if path.is_file():
        known = read_json(path)
        for option, key, value in (
            ("", "format", FORMAT),
            ("", "version", VERSION),
            ("--seed", "seed", seed),
            ("--held-out", "held_out", held_out),
        ):
            if known.get(key) != value:
                raise InputError(
                    f"{path}: {key} is {known.get(key)}, not {value}; give another --out"
                    + (f" or {option} {known.get(key)}" if option else "")
                )
    elif folder.exists() and (not folder.is_dir() or any(folder.glob("*.h5"))):
        raise InputError(f"--out {folder}: holds no corpus but something else; give a new folder")


def write_manifest(folder: Path, seed: int, held_out: float) -> dict[str, Any]:
    """Lists the files that are complete so far; returns what it wrote."""
    listings = [read_json(path) for path in sorted(folder.glob("*-[0-9]*.json"))]
    recordings = sorted(
        ({**entry, "file": one["file"]} for one in listings for entry in one["recordings"]),
        key=lambda entry: entry["index"],
    )
    content = {
        "format": FORMAT,
        "version": VERSION,
        "synthetic": True,
        "seed": seed,
        "held_out": held_out,
        "totals": {split: totals(recordings, split) for split in ("train", "heldout")},
        "ranges": {
            name: to_json(one) | {"meaning": MEANINGS[name]} for name, one in RANGES.items()
        },
        "files": {one["file"]: one["sha256"] for one in listings},
        "recordings": recordings,
    }
    with atomic_write(folder / NAME) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    return content


def totals(recordings: Sequence[Mapping[str, Any]], split: str) -> dict[str, float | int]:
    """Sums over the recordings of a split."""
    own = [entry for entry in recordings if entry["split"] == split]
    vehicle_hours = sum(entry["vehicle_hours"] for entry in own)
    travelled = sum(entry["vehicle_hours"] * entry["mean_speed_mps"] for entry in own)
    return {
        "recordings": len(own),
        "hours": round(sum(entry["seconds"] for entry in own) / 3600.0, 4),
        "vehicles": sum(entry["vehicles"] for entry in own),
        "vehicle_hours": round(vehicle_hours, 3),
        "mean_speed_mps": round(travelled / vehicle_hours, 3) if own else 0.0,
        **{name: sum(entry[name] for entry in own) for name in FAULTS},
    }
