"""The command that turns raw files into recordings: ``python -m data.prepare --help``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

import tyro
from tqdm import tqdm

from ppuu.command import run
from ppuu.errors import InputError
from ppuu.recording import Recording

from .clean import Report
from .digest import sha256
from .sources import SOURCES, Source


def main(
    source: tyro.conf.Positional[Literal["ngsim", "dlr", "commonroad"]],
    raw: tyro.conf.Positional[tuple[Path, ...]],
    /,
    out: Path,
) -> None:
    """Turns raw files into recordings: tracks and road in metres, one HDF5 file each.

    Beside FILE.h5 stands FILE.report.json: what was read, kept, dropped and repaired, and why.
    Outputs made from the same raw file by the same reader are left as they are, so an
    interrupted command can be repeated.

    Sources:

    ngsim: the text files of I-80 and US-101 (18 columns) and of the streets (24 columns), feet;
    one period a file.

    dlr: DLR Highway Traffic, trajectories_*.csv (fetch it with: python -m data.download
    dlr-highway); gives two recordings, one for each direction.

    commonroad: scenarios in XML (2018b, 2020a), also *.xml.gz; one scene a file.

    Examples:

    python -m data.prepare ngsim trajectories-0400-0415.txt --out i80.h5

    python -m data.prepare commonroad USA_US101-*.xml.gz --out us101/

    Args:
        source: which reader.
        raw: the raw files.
        out: FILE.h5 if there is one recording, else a directory for NAME.h5 of each.
    """
    reader = SOURCES[source]
    outputs = _outputs(reader, raw, out)
    for path in tqdm(raw, desc=source, unit="file", disable=None):
        digest = sha256(path)
        origin = {
            "source": source,
            "reader_version": reader.version,
            "raw": {"file": path.name, "bytes": path.stat().st_size, "sha256": digest},
        }
        if all(_made_from(output, origin) for output in outputs[path]):
            tqdm.write(f"{', '.join(map(str, outputs[path]))}: up to date")
            continue
        for output, recording in zip(outputs[path], reader.read(path), strict=True):
            _write(replace(recording, provenance=origin | dict(recording.provenance)), output)


def _outputs(reader: Source, raw: tuple[Path, ...], out: Path) -> dict[Path, list[Path]]:
    """Where the recordings of each raw file go."""
    if not raw:
        raise InputError("no raw file given; see python -m data.prepare --help")
    for path in raw:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    names = {path: reader.names(path) for path in raw}
    count = sum(len(some) for some in names.values())
    if out.suffix == ".h5":
        if count > 1:
            raise InputError(
                f"--out {out}: a directory is needed, for {count} recordings will be made"
            )
        return {raw[0]: [out]}
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: it must end in .h5 or be a directory")
    if len({name for some in names.values() for name in some}) < count:
        raise InputError(
            "two of the raw files would give recordings of the same name; prepare them one by one"
        )
    return {path: [out / f"{name}.h5" for name in some] for path, some in names.items()}


def _made_from(output: Path, origin: dict) -> bool:
    """Whether an output is whole and of this origin (whatever the raw file is called now)."""
    try:
        provenance = Recording.load(output).provenance
    except InputError:
        return False
    same_reader = all(provenance.get(key) == origin[key] for key in ("source", "reader_version"))
    return same_reader and provenance.get("raw", {}).get("sha256") == origin["raw"]["sha256"]


def _write(recording: Recording, output: Path) -> None:
    """The recording and, beside it, its report."""
    recording.save(output)
    beside = output.with_suffix(".report.json")
    temporary = beside.with_name(f".{beside.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(dict(recording.provenance), indent=2) + "\n")
        os.replace(temporary, beside)
    finally:
        temporary.unlink(missing_ok=True)
    tqdm.write(
        f"{output}: {recording.vehicles} tracks, {recording.duration_s:.1f} s, "
        f"{recording.road.lanes} lanes\n{Report(**recording.provenance['report']).table()}"
    )


if __name__ == "__main__":
    run(main)
