"""``python -m data.splits``: divides recordings, writes the manifest and reports leakage."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import tyro

from ppuu.recordings.recording import load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output

from .leakage import Leak, leak
from .manifest import divide
from .rules import FRACTIONS, By


def main(recordings: tyro.conf.Positional[tuple[Path, ...]], out: Path, by: By = "time") -> None:
    """Divides recordings into train, val and test, for --split-manifest of training and evaluation.

    time: the first 70 %, then 10 %, then 20 % of each recording, 10 s apart; no common frame.
    vehicle: 80, 10 and 10 % of the vehicles, as in PPUU; training and test have common frames.
    site: whole sites.  Recordings of one site name it in their provenance, or have equal roads.

    The overlap of the splits is printed.  Overlapping recordings, such as two extracts of one
    camera session, are not recognised as the same traffic.

    Args:
        recordings: files written by data.generate or data.prepare.
        out: the manifest, a JSON file.
        by: rule of the split.
    """
    check_output(out)
    loaded = load_recordings(recordings)
    manifest = divide(loaded, by)
    undivided = [entry.name for entry in manifest.recordings if not entry.parts]
    if len(undivided) == len(loaded):
        raise InputError(
            f"{', '.join(undivided[:3])}: too short to be divided by time; use --split all, or "
            "divide by vehicle or site"
        )
    manifest.save(out)
    for name in undivided:
        sys.stdout.write(f"{name}: too short to be divided; in no split but 'all'\n")
    for one, other in combinations(FRACTIONS, 2):
        leaks = [
            leak(recording, entry.parts[one], entry.parts[other])
            for recording, entry in zip(loaded, manifest.recordings, strict=True)
            if one in entry.parts and other in entry.parts
        ]
        sys.stdout.write(f"{one} and {other} share {_words(leaks)}\n")


def _words(leaks: list[Leak]) -> str:
    shared = sum(found.vehicle_frames for found in leaks)
    egos = sum(found.ego_vehicle_frames for found in leaks)
    vehicles = sum(found.vehicles for found in leaks)
    return (
        f"{shared} vehicle-frames ({egos} of them egos in both); {vehicles} vehicles drive in both"
    )


if __name__ == "__main__":
    run(main)
