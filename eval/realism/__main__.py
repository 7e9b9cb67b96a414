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
from ppuu.runtime.files import check_output

from ..reports.results import write_results
from .comparison import rows_of, text
from .real import RealTraffic
from .summary import summarise


def main(
    recordings: tuple[Path, ...],
    json: Path | None = None,
    slot: Literal["0400", "0500"] = "0400",
) -> None:
    """Compares recordings with real traffic: NGSIM's I-80 and US-101, whose statistics come along.

    Followers and leaders are cut as the real pairs were (nothing above 0.5 Hz, median gap below
    50 m, 30 s and more, no overlap), and their speed, gap, time headway (front to front),
    acceleration and relative speed are compared by Wasserstein distances and by a likelihood, the
    realism: 1 is the slot itself.  Row "real 0500" is the ceiling (the other slot), "constant
    speed" the floor (everybody keeps its mean speed).  Then: speed of stop-and-go waves (negative:
    against the traffic) and their correlation; growth of disturbances (median ratio of a follower's
    to its leader's standard deviation of speed); stable lane changes, their median duration and
    largest lateral speed; wander within the lane; and noise: roughness (positions about a smooth
    curve) along and across the road, and the fraction of the variance of speed above 0.5 Hz.
    What cannot be measured is "-", null in the file, and a note says why.

    All recordings of one file are one traffic and one row, named after the recording or, if there
    are several, after their preset or the file.  Where a recording's provenance names a car-pool
    lane, pairs in it are left out: the real ones lie in the other lanes.

    Args:
        recordings: files written by data.generate or data.prepare.
        json: where to write the results.
        slot: real slot to measure distances from.
    """
    check_output(json)
    real = RealTraffic.load()
    loaded = [load_recordings([path]) for path in recordings]
    names = [_name(path, group) for path, group in zip(recordings, loaded, strict=True)]
    shared = Counter(names)
    traffics = [
        summarise(f"{name} ({path})" if shared[name] > 1 else name, group)
        for name, path, group in zip(names, recordings, loaded, strict=True)
    ]
    rows = rows_of(traffics, real, slot)
    sys.stdout.write(text(rows) + "\n")
    if json is not None:
        config = {"recordings": [str(path) for path in recordings], "slot": slot}
        write_results(json, "eval.realism", config, rows)


def _name(path: Path, recordings: list[Recording]) -> str:
    """A recording's own name, or that of the preset or file that several share."""
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
