"""The command ``python -m data.generate corpus``."""

from __future__ import annotations

import math
from pathlib import Path

from tqdm import tqdm

from ppuu.runtime.errors import InputError

from ..workers import check_workers, in_workers, own_shard
from .generate import layout, make
from .manifest import FAULTS, check_folder, write_manifest
from .page import write_page


def generate_corpus(
    out: Path, hours: float, seed: int, held_out: float, shard: str, workers: int
) -> None:
    """Generates what is missing, and describes what is there.

    Args:
        out: folder for the files.
        hours: length of all recordings together, at least.
        seed: of the corpus.
        held_out: fraction of the recordings in the held-out files.
        shard: ``I/N``, see ``own_shard``.
        workers: number of processes.

    Raises:
        InputError: an option out of its range, or a folder that holds something else.
    """
    if not (math.isfinite(hours) and hours > 0):
        raise InputError(f"--hours {hours}: give a positive number, such as 2")
    if seed < 0:
        raise InputError(f"--seed {seed}: give 0 or a positive number")
    if not 0 <= held_out < 1:
        raise InputError(f"--held-out {held_out}: give a fraction from 0 to below 1, such as 0.1")
    check_workers(workers)
    own_shard((), shard)
    check_folder(out, seed, held_out)
    files = own_shard(layout(out, hours, seed, held_out), shard)
    write_manifest(out, seed, held_out)
    kept = 0
    with tqdm(total=len(files), unit="file", disable=None) as bar:
        for _, made in in_workers(make, files, workers):
            kept += not made
            bar.update()
    manifest = write_manifest(out, seed, held_out)
    write_page(out, manifest)
    totals = manifest["totals"]
    parts = " and ".join(
        f"{own['recordings']} recordings, {own['hours']:.2f} h, "
        f"{own['vehicle_hours']:.1f} vehicle-hours ({split})"
        for split, own in totals.items()
    )
    found = ", ".join(
        f"{name.replace('_', ' ')} {sum(own[name] for own in totals.values())}" for name in FAULTS
    )
    print(f"{out}: {len(files)} files, {kept} of them from before; in all {parts}; {found}")
