"""The command that turns raw files into recordings: ``python -m data.prepare --help``."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from ppuu.command import run
from ppuu.errors import InputError
from ppuu.files import written_whole
from ppuu.recording import Recording, load_recordings, save_recordings

from .clean import Report
from .digest import sha256
from .sources import SOURCES


def main(
    source: tyro.conf.Positional[Literal["ngsim", "dlr", "commonroad"]],
    raw: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RAW [RAW ...]", help_behavior_hint="(required)"),
    ],
    /,
    out: Path,
) -> None:
    """Turns raw files into recordings, tracks and road in metres, all in one HDF5 file.

    Beside FILE.h5 stands FILE.report.json: what was read, kept, dropped and repaired, and why.
    Repeat the command after an interruption or with other raw files: only what is new or has
    changed is read.

    Sources:

    ngsim: the text files of I-80 and US-101 (18 columns) and of the streets (24 columns), feet;
    one period a file.

    dlr: DLR Highway Traffic, trajectories_*.csv (fetch it with: python -m data.download
    dlr-highway); gives two recordings, one for each direction.

    commonroad: scenarios in XML (2018b, 2020a), also *.xml.gz; one scene a file.

    To try: python -m data.prepare ngsim trajectories-0400-0415.txt --out i80.h5

    Args:
        source: which reader.
        raw: the raw files.
        out: FILE.h5, for all recordings of all raw files.
    """
    if out.suffix != ".h5" or out.is_dir():
        raise InputError(f"--out {out}: give the name of a file that ends in .h5")
    origins = _origins(source, raw)
    parts = out.with_name(f".{out.name}.parts")
    before = _readable(out)
    known = [*before, *(made for part in parts.glob("*.h5") for made in _readable(part))]
    recordings: list[Recording] = []
    try:
        for path, (names, origin) in tqdm(origins.items(), source, unit="file", disable=None):
            made = [r for name in names for r in known if r.name == name and _is_of(r, origin)]
            if len(made) != len(names):
                made = [
                    replace(recording, provenance=origin | dict(recording.provenance))
                    for recording in SOURCES[source].read(path)
                ]
                _describe(path, made)
                if len(origins) > 1:
                    save_recordings(parts / f"{origin['raw']['sha256']}.h5", made)
            recordings += made
        if [id(made) for made in recordings] == [id(made) for made in before]:
            tqdm.write(f"{out}: up to date")
        else:
            save_recordings(out, recordings)
            tqdm.write(f"{out}: {len(recordings)} recordings")
        _write_report(recordings, out.with_suffix(".report.json"))
    except InputError:
        shutil.rmtree(parts, ignore_errors=True)  # an interruption leaves it: the next call goes on
        raise
    shutil.rmtree(parts, ignore_errors=True)


def _origins(source: str, raw: tuple[Path, ...]) -> dict[Path, tuple[list[str], dict]]:
    """For each raw file the names of its recordings, and what their provenance must say."""
    if not raw:
        raise InputError("no raw file given; see python -m data.prepare --help")
    for path in raw:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    reader = SOURCES[source]
    origins, owner = {}, {}
    for path in raw:
        names = list(reader.names(path))
        for name in names:
            if name in owner:
                raise InputError(
                    f"{owner[name]} and {path} would both give the recording '{name}'; "
                    "leave one of them out or rename it"
                )
            owner[name] = path
        size = path.stat().st_size
        origins[path] = (
            names,
            {
                "source": source,
                "reader_version": reader.version,
                "raw": {"file": path.name, "bytes": size, "sha256": sha256(path)},
            },
        )
    return origins


def _readable(path: Path) -> list[Recording]:
    """The recordings of a file; none if it is missing, damaged or of another schema."""
    try:
        return load_recordings([path])
    except InputError:
        return []


def _is_of(recording: Recording, origin: dict) -> bool:
    """Whether a recording was made by this version of the reader from these bytes."""
    provenance = recording.provenance
    same_reader = all(provenance.get(key) == origin[key] for key in ("source", "reader_version"))
    return same_reader and provenance.get("raw", {}).get("sha256") == origin["raw"]["sha256"]


def _describe(path: Path, made: list[Recording]) -> None:
    for recording in made:
        tqdm.write(
            f"{path.name}: {recording.name}, {recording.vehicles} tracks, "
            f"{recording.duration_s:.1f} s, {recording.road.lanes} lanes\n"
            f"{Report(**recording.provenance['report']).table()}"
        )


def _write_report(recordings: list[Recording], path: Path) -> None:
    """Provenance and report of every recording, beside the file."""
    entries = [{"name": recording.name, **recording.provenance} for recording in recordings]
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps({"recordings": entries}, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
