"""Conversion of raw files to HDF5 files with reports, optionally in worker processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ppuu.recordings.recording import Recording, load_recordings, save_recordings
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .clean import CleanConfig, Report
from .clean.html_report import write_html_report
from .sources import read_recordings
from .sources.base import Source

_HOW = ("source", "clean", "code", "companions")
"""Provenance entries that determine the output, besides the raw file's content."""


@dataclass(frozen=True)
class Job:
    """Conversion of one raw file.

    Attributes:
        source: its reader.
        clean: checks and repairs.
        raw: the raw file.
        origin: required provenance of its recordings: ``source``, ``clean``, ``code``,
            ``raw``, ``companions``.
        out: the HDF5 file.
        reports: suffixes of the reports beside the file, of ``.report.json`` and ``.report.html``.
    """

    source: Source
    clean: CleanConfig
    raw: Path
    origin: dict
    out: Path
    reports: tuple[str, ...] = ()

    def made_before(self, known: Sequence[Recording]) -> list[Recording]:
        """Existing recordings of the same raw file, reader and configuration."""
        return [
            recording
            for recording in known
            if all(recording.provenance.get(key) == self.origin[key] for key in _HOW)
            and recording.provenance.get("raw", {}).get("sha256") == self.origin["raw"]["sha256"]
        ]


def make(job: Job) -> list[str]:
    """Reads, cleans and writes one raw file, unless the output is up to date.

    Returns:
        A summary of each new recording; empty if the file is up to date.

    Raises:
        InputError: see ``read_recordings``.
    """
    before = readable(job.out)
    made, words = job.made_before(before), []
    if not made:
        made = [
            replace(recording, provenance=job.origin | dict(recording.provenance))
            for recording in read_recordings(job.source, job.raw, job.clean)
        ]
        words = [described(job.raw, recording) for recording in made]
    if len(made) != len(before) or words:
        save_recordings(job.out, made)
        write_reports(made, job.out, job.reports)
    else:
        write_reports(made, job.out, missing_reports(job.out, job.reports))
    return words


def readable(path: Path) -> list[Recording]:
    """The recordings of a file; none if it is missing, damaged or of another schema."""
    try:
        return load_recordings([path])
    except InputError:
        return []


def described(raw: Path, recording: Recording) -> str:
    """Summary of a recording as a short table."""
    return (
        f"{raw.name}: {recording.name}, {recording.vehicles} tracks, "
        f"{recording.duration_s:.1f} s, {recording.road.lanes} lanes\n"
        f"{Report(**recording.provenance['report']).table()}"
    )


def missing_reports(out: Path, suffixes: Sequence[str]) -> list[str]:
    """Suffixes of the missing reports beside a file."""
    return [suffix for suffix in suffixes if not out.with_suffix(suffix).exists()]


def write_reports(recordings: Sequence[Recording], out: Path, suffixes: Sequence[str]) -> None:
    """Writes provenance and reports of all recordings beside the file."""
    if ".report.json" in suffixes:
        entries = [{"name": recording.name, **recording.provenance} for recording in recordings]
        with atomic_write(out.with_suffix(".report.json")) as temporary:
            temporary.write_text(json.dumps({"recordings": entries}, indent=2) + "\n")
    if ".report.html" in suffixes:
        write_html_report(recordings, out.with_suffix(".report.html"))
