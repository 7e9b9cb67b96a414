"""Generates traffic: ``python -m data.generate --help``."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated

import tyro

from ppuu.perception.sensors import SensorName
from ppuu.recordings.recording import check_replaceable
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError

from . import sumo, traffic
from .clean import CleanConfig
from .sensors import seen_by
from .sources import ngsim_text
from .traffic import PRESETS

SUMO, CORPUS = "sumo", "corpus"


def main(
    preset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PRESET")],
    /,
    out: Path,
    seconds: float = 300.0,
    seed: int = 0,
    sensor: SensorName = "exact",
    clean: CleanConfig = CleanConfig(),
    ngsim_text_file: Annotated[Path | None, tyro.conf.arg(name="ngsim-text")] = None,
) -> None:
    """Generates highway traffic, 500 m at 10 Hz: six lanes and an on-ramp, a weave, or bends.

    {presets}

    sumo: six lanes and an on-ramp again, but driven by SUMO (needs the extra 'sumo').

    corpus: many short recordings, each with a road, traffic and drivers of its own; has options
    of its own: python -m data.generate corpus --help.

    How hard each is for simple drivers: docs/traffic.md.

    Example: python -m data.generate dense --seconds 300 --seed 0 --out dense-seed0.h5

    Args:
        preset: which traffic; the choices are listed above.
        out: the recording, HDF5.
        seconds: length of the recording.
        seed: the same seed gives the same traffic.
        sensor: how the traffic is seen. exact; or with the errors of a drone (highD) or of cameras
            on a building (ngsim), and cleaned as data.prepare does it.
        clean: checks and repairs of what a sensor has seen.
        ngsim_text_file: also write the tracks as an NGSIM text file (18 columns, feet).
    """
    names = [*PRESETS, SUMO, CORPUS]
    if preset == CORPUS:
        raise InputError("corpus: name it first: python -m data.generate corpus --out FOLDER …")
    if preset not in names:
        close = difflib.get_close_matches(preset, names, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise InputError(f"preset '{preset}': unknown; {hint}there are {', '.join(names)}")
    if seed < 0:
        raise InputError(f"seed is {seed}; give 0 or a positive number")
    if sensor == "exact" and clean != CleanConfig():
        raise InputError("--clean: exact traffic is not cleaned; choose another --sensor")
    clean.check()
    for path in filter(None, (out, ngsim_text_file)):
        if path.is_dir():
            raise InputError(f"{path}: is a directory; give the name of a file")
    check_replaceable(out)
    if preset == SUMO:
        recording = sumo.generate(seconds, seed, show_progress=True)
    else:
        recording = traffic.generate(PRESETS[preset], seconds, seed, show_progress=True)
    recording = seen_by(recording, sensor, seed, clean)
    recording.save(out)
    if ngsim_text_file is not None:
        ngsim_text.write(recording, ngsim_text_file)
    print(
        f"{out}: {recording.vehicles} vehicles, {recording.rows} rows, "
        f"{recording.duration_s:.1f} s, mean speed {recording.speed_mps.mean():.1f} m/s"
    )


main.__doc__ = (main.__doc__ or "").replace(
    "{presets}",
    "Presets:\n\n    " + "\n\n    ".join(f"{p.name}: {p.summary}." for p in PRESETS.values()),
)


def corpus(
    out: Path,
    hours: float = 1.0,
    seed: int = 0,
    held_out: float = 0.1,
    shard: str = "1/1",
    workers: int = 1,
) -> None:
    """Generates a corpus: many short recordings, everything drawn from stated ranges.

    Each recording lasts 60 to 90 s and has a road (2 to 6 lanes, widths, bends, ramps), traffic
    (density, speed, waves, lorries) and drivers of its own. OUT/manifest.json lists the ranges
    and what each recording holds; OUT/index.html shows it. Train on OUT/train*.h5 and test on
    OUT/heldout*.h5.

    Repeat the command after an interruption: finished files are kept. More hours later add
    recordings to the same ones; recording k depends on the seed and k only.

    Example: python -m data.generate corpus --hours 2 --seed 0 --workers 2 --out corpus

    Args:
        out: a folder.
        hours: length of all recordings together (an hour is about 60 vehicle-hours).
        seed: the same seed gives the same corpus.
        held_out: fraction of the recordings that are kept for tests, in files of their own.
        shard: I/N makes every Nth file, beginning with the Ith. N calls, in any order and on any
            machines, fill the folder.
        workers: processes that share the files.
    """
    from .corpus.command import generate_corpus  # its pages need not load for other traffic

    generate_corpus(out, hours, seed, held_out, shard, workers)


if __name__ == "__main__":
    if sys.argv[1:2] == [CORPUS]:
        run(corpus, sys.argv[2:], subcommand=CORPUS)
    else:
        run(main)
