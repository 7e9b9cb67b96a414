"""The command that turns raw files into recordings: ``python -m data.prepare --help``."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Union

import tyro
from tqdm import tqdm

from ppuu.command import run
from ppuu.config import to_json
from ppuu.errors import InputError
from ppuu.files import written_whole
from ppuu.recording import Recording, load_recordings, save_recordings

from .clean import Report
from .digest import sha256
from .sources import SOURCES, read_recordings
from .sources.base import Source

AnySource = Union[  # noqa: UP007, made from the registry
    tuple(Annotated[source, tyro.conf.subcommand(name)] for name, source in SOURCES.items())
]


@tyro.conf.configure(
    tyro.conf.CascadeSubcommandArgs, tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes
)
def main(
    source: AnySource,
    raw: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="RAW [RAW ...]", help_behavior_hint="(required)"),
    ],
    out: Path,
) -> None:
    """Turns raw files into recordings, tracks and road in metres, all in one HDF5 file.

    Beside FILE.h5 stands FILE.report.json: what was read, kept, dropped and repaired, and why.
    Repeat the command after an interruption or with other raw files: only what is new or has
    changed is read.

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
        for path, origin in tqdm(origins.items(), type(source).__name__, unit="file", disable=None):
            made = _made_before(known, origin)
            if not made:
                made = [
                    replace(recording, provenance=origin | dict(recording.provenance))
                    for recording in read_recordings(source, path)
                ]
                _describe(path, made)
                if len(origins) > 1:
                    save_recordings(parts / f"{origin['raw']['sha256']}.h5", made)
            _refuse_same_name(path, made, recordings)
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


def _refuse_same_name(path: Path, made: list[Recording], others: list[Recording]) -> None:
    owner = {other.name: other.provenance["raw"]["file"] for other in others}
    for recording in made:
        if recording.name in owner:
            raise InputError(
                f"{owner[recording.name]} and {path} both give the recording '{recording.name}'; "
                "leave one of them out or rename it"
            )


def _origins(source: Source, raw: tuple[Path, ...]) -> dict[Path, dict]:
    """What the provenance of each raw file's recordings must say."""
    if not raw:
        raise InputError("no raw file given; see python -m data.prepare --help")
    for path in raw:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    return {
        path: {
            "source": {"name": _name(source), "version": source.version, **to_json(source)},
            "raw": {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)},
        }
        for path in raw
    }


def _name(source: Source) -> str:
    return next(name for name, kind in SOURCES.items() if type(source) is kind)


def _readable(path: Path) -> list[Recording]:
    """The recordings of a file; none if it is missing, damaged or of another schema."""
    try:
        return load_recordings([path])
    except InputError:
        return []


def _made_before(known: list[Recording], origin: dict) -> list[Recording]:
    """The recordings that this reader has made from these bytes before."""
    return [
        recording
        for recording in known
        if recording.provenance.get("source") == origin["source"]
        and recording.provenance.get("raw", {}).get("sha256") == origin["raw"]["sha256"]
    ]


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
