"""``python -m eval.realism``: how far recordings are from real traffic.

``summary`` reduces a traffic to numbers, ``real`` holds those of real traffic, ``score`` compares.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Literal

from ppuu.recordings.recording import Recording, load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, check_output

from ..reports.results import write_results
from .comparison import rows_of, text
from .page import page
from .real import RealTraffic
from .summary import summarise


def main(
    recordings: tuple[Path, ...],
    json: Path | None = None,
    report: Path | None = None,
    slot: Literal["0400", "0500"] = "0400",
) -> None:
    """Compares recordings with real traffic: NGSIM's I-80 and US-101.

    The statistics of the real traffic are part of the program.

    Followers and leaders are cut and filtered as the real pairs were: nothing above 0.5 Hz, 30 s
    and more, median gap below 50 m, no overlap.

    wasserstein_*: distance of their speeds, gaps, time headways (front to front), accelerations and
    relative speeds from those of the slot.

    realism: a likelihood by the same features; 1 is the slot itself, and nothing exceeds it.

    wave_speed_mps: of stop-and-go waves, negative against the traffic; wave_correlation says how
    much it explains.

    platoon_growth: median ratio of a follower's to its leader's standard deviation of speed.

    lane_change_*: stable changes, their median duration and largest lateral speed.

    wander_m: within the lane, about a vehicle's own mean.

    roughness_m, lateral_roughness_m: positions about a smooth curve, along and across the road;
    fast_speed_fraction: of the variance of speed, above 0.5 Hz.

    Row "real 0500" is the ceiling (the other slot), "constant speed" the floor (every vehicle of
    the slot keeps its mean speed).  What cannot be measured is "-", null in the file, and a note
    gives the reason.

    All recordings of one file or folder are one traffic and one row, named after the recording or,
    if there are several, after their preset, or else the file or folder.  Pairs in the car-pool
    lane that a recording's provenance names are left out: the real ones lie in the other lanes.

    Example: python -m eval.realism --recordings dense-seed0.h5 --json out.json --report out.html

    Args:
        recordings: files written by data.generate or data.prepare, and folders of such files.
        json: where to write the results.
        report: where to write a page with distributions, spectra and the tables.
        slot: real slot to measure distances from.
    """
    if not recordings:
        raise InputError("--recordings: give at least one file of data.generate or data.prepare")
    for out in (json, report):
        check_output(out)
    if json is not None and json == report:
        raise InputError(f"--json and --report are both {json}; each needs a file of its own")
    real = RealTraffic.load()
    loaded = [load_recordings(_files(path)) for path in recordings]
    names = [_name(path, group) for path, group in zip(recordings, loaded, strict=True)]
    shared = Counter(names)
    traffics = [
        summarise(f"{name} ({path})" if shared[name] > 1 else name, group)
        for name, path, group in zip(names, recordings, loaded, strict=True)
    ]
    rows = rows_of(traffics, real, slot)
    sys.stdout.write(text(rows) + "\n")
    config = {"recordings": [str(path) for path in recordings], "slot": slot}
    if json is not None:
        write_results(json, "eval.realism", config, rows)
    if report is not None:
        slots = [real.slots[slot], *(one for name, one in real.slots.items() if name != slot)]
        with atomic_write(report) as temporary:
            temporary.write_text(page(config, rows, slots, traffics), encoding="utf-8")


def _files(path: Path) -> list[Path]:
    """The file, or those of a folder."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.h5"))
    if not files:
        raise InputError(f"{path}: no recordings (*.h5) in this folder")
    return files


def _name(path: Path, recordings: list[Recording]) -> str:
    """A recording's own name, or that of the preset, file or folder that several share."""
    if len(recordings) == 1:
        return recordings[0].name
    presets = {_preset(recording) for recording in recordings}
    preset = presets.pop() if len(presets) == 1 else None
    return preset or path.stem


def _preset(recording: Recording) -> str | None:
    preset = recording.provenance.get("preset")
    return preset.get("name") if isinstance(preset, dict) else preset


if __name__ == "__main__":
    run(main)
