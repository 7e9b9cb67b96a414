"""Converts raw files to recordings: ``python -m data.prepare --help``."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Union

import tyro
from tqdm import tqdm

from ppuu.recordings.recording import Recording, check_replaceable, save_recordings
from ppuu.runtime.command import run
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import sha256

from .clean import CleanConfig
from .code_hash import code_hash
from .jobs import Job, make, missing_reports, readable, write_reports
from .sources import SOURCES
from .sources.base import Source
from .workers import check_workers, in_workers, own_shard, shard_numbers

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
    clean: CleanConfig = CleanConfig(),
    shard: str = "1/1",
    workers: int = 1,
    page: bool = True,
) -> None:
    """Turns raw files into recordings: tracks and road in metres, HDF5.

    Beside FILE.h5 stand FILE.report.json and FILE.report.html: what was read, kept, dropped and
    repaired, and why. Repeat the command after an interruption, with other raw files or after a
    change of the reader, the checks or the repairs: only what is new or has changed is made.

    To try: python -m data.prepare ngsim trajectories-0400-0415.txt --out i80.h5

    Args:
        source: which reader.
        raw: the raw files.
        out: FILE.h5, for all recordings of all raw files; or a folder, for one file a raw file.
        clean: checks and repairs.
        shard: I/N makes every Nth file, beginning with the Ith. N calls with the same raw files,
            in any order and on any machines, fill the folder.
        workers: processes that share the raw files; each needs memory for one of them.
        page: write the report as a page with plots, too.
    """
    clean.check()
    check_workers(workers)
    reports = (".report.json", ".report.html") if page else (".report.json",)
    _, shards = shard_numbers(shard)
    targets = _targets(_existing(raw), out)
    for path in targets or (out,):
        check_replaceable(path)
    if out.suffix == ".h5" and not out.is_dir() and shards > 1:
        raise InputError(f"--shard {shard} makes one file a raw file: give --out a folder")
    if targets is None:
        _merged(source, clean, raw, out, reports, workers)
    else:
        own = own_shard(list(targets.items()), shard)
        origins = (_origin(source, clean, path) for _, path in own)
        _run(
            [
                Job(source, clean, path, origin, target, reports)
                for (target, path), origin in zip(own, origins, strict=True)
            ],
            workers,
        )


def _targets(raw: Sequence[Path], out: Path) -> dict[Path, Path] | None:
    """Output → raw file, in the same order for all shards; None if several have one output."""
    if out.suffix == ".h5" and not out.is_dir():
        return {out: raw[0]} if len(raw) == 1 else None
    if not out.is_dir() and (out.suffix or out.exists()):
        raise InputError(f"--out {out}: give the name of a file that ends in .h5, or of a folder")
    targets: dict[Path, Path] = {}
    for path in sorted(raw):
        target = out / f"{Path(path.name.removesuffix('.gz')).stem}.h5"
        if target in targets:
            raise InputError(
                f"{targets[target]} and {path} would both become {target}; rename one of them"
            )
        targets[target] = path
    return targets


def _merged(
    source: Source,
    clean: CleanConfig,
    raw: Sequence[Path],
    out: Path,
    reports: Sequence[str],
    workers: int,
) -> None:
    """Merges the recordings of several raw files, with an intermediate file for each raw file."""
    parts = out.with_name(f".{out.name}.parts")
    before = readable(out)
    origins = [_origin(source, clean, path) for path in raw]
    jobs = [
        Job(source, clean, path, origin, parts / f"{origin['raw']['sha256']}.h5")
        for path, origin in zip(raw, origins, strict=True)
    ]
    try:
        _run([job for job in jobs if not job.made_before(before)], workers)
        recordings: list[Recording] = []
        for job in jobs:
            made = job.made_before(before) or readable(job.out)
            _refuse_same_name(job.raw, made, recordings)
            recordings += made
        if [id(made) for made in recordings] == [id(made) for made in before]:
            tqdm.write(f"{out}: up to date")
            reports = missing_reports(out, reports)
        else:
            save_recordings(out, recordings)
            tqdm.write(f"{out}: {len(recordings)} recordings")
        write_reports(recordings, out, reports)
    except InputError:
        shutil.rmtree(parts, ignore_errors=True)  # kept after an interruption, to continue
        raise
    shutil.rmtree(parts, ignore_errors=True)


def _run(jobs: Sequence[Job], workers: int) -> None:
    with tqdm(total=len(jobs), unit="file", disable=None) as bar:
        for job, words in in_workers(make, jobs, workers):
            bar.update()
            for text in words or [f"{job.out}: up to date"]:
                tqdm.write(text)


def _refuse_same_name(path: Path, made: list[Recording], others: list[Recording]) -> None:
    owner = {other.name: other.provenance["raw"]["file"] for other in others}
    for recording in made:
        if recording.name in owner:
            raise InputError(
                f"{owner[recording.name]} and {path} both give the recording '{recording.name}'; "
                "leave one of them out or rename it"
            )


def _existing(raw: tuple[Path, ...]) -> tuple[Path, ...]:
    if not raw:
        raise InputError("no raw file given; see python -m data.prepare --help")
    for path in raw:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    return raw


def _origin(source: Source, clean: CleanConfig, raw: Path) -> dict:
    """Required provenance of a raw file's recordings."""
    name = next(name for name, kind in SOURCES.items() if type(source) is kind)
    return {
        "source": {"name": name, **to_json(source)},
        "clean": to_json(clean),
        "raw": {"file": raw.name, "bytes": raw.stat().st_size, "sha256": sha256(raw)},
        "code": code_hash(type(source)),
        "companions": {path.name: sha256(path) for path in source.companions(raw)},
    }


if __name__ == "__main__":
    run(main)
