"""Conversion of raw files to HDF5 files with reports, optionally in worker processes."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch

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


def run_jobs(jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, list[str]]]:
    """Runs all jobs; yields each job and its summaries when it is done.

    Raises:
        InputError: see ``make``; jobs not yet started are cancelled.
    """
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, make(job)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_begin_worker
    )
    with pool:
        running = {pool.submit(make, job): job for job in jobs}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, most likely out of memory; "
                "run the same command with fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)  # running jobs are completed


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the main process.
    torch.set_num_threads(1)


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
