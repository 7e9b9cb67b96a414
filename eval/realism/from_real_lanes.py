"""``python -m eval.realism.from_real_lanes``: summaries of real traffic, from its recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from data.calibration.tables import DT_S
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .lane_changes import lane_changes, us101_lateral_tracks
from .pairs import Pairs, read_pairs
from .real import PATH, SLOTS
from .spectrum import Spectrum, read_positions, spectrum
from .summary import (
    METRICS,
    TrafficSummary,
    density_of,
    following_metrics,
    lateral_metrics,
    quantiles_of,
    spectrum_metrics,
)

_ABOUT = (
    "Statistics of NGSIM's I-80 and US-101 (US-DOT open data), made by "
    "eval.realism.from_real_lanes: quantiles of pairs at 500 levels, and figures. Rates of lane "
    "changes are published ones (cars), since the tables hold no complete pair of lanes and "
    "vehicles of US-101 that were chosen because they change lanes."
)
_PUBLISHED = {"i80": 12.1, "us101": 9.1}
"""Stable lane changes of cars per vehicle-hour."""


def summaries(folder: Path) -> dict[str, Any]:
    """The content of ``real.json``.

    Args:
        folder: holds ``i80-pairs.csv.gz``, ``i80-lanes.csv.gz`` and ``us101-tracks.csv.gz``.

    Raises:
        InputError: a table is missing or damaged.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; give the one with i80-pairs.csv.gz, i80-lanes.csv.gz and "
            "us101-tracks.csv.gz"
        )
    slots, constant = {}, {}
    for slot in SLOTS:
        pairs = read_pairs(folder / "i80-pairs.csv.gz", slot)
        motion = spectrum(read_positions(folder / "i80-lanes.csv.gz", slot), DT_S)
        rate = {"lane_changes_per_vehicle_hour": _PUBLISHED["i80"]}
        slots[slot] = _summary(pairs, motion, rate)
        constant[slot] = _summary(pairs.at_constant_speed(), None, {})
    tracks = us101_lateral_tracks(folder / "us101-tracks.csv.gz")
    lateral = lateral_metrics(lane_changes(tracks))
    lateral["lane_changes_per_vehicle_hour"] = _PUBLISHED["us101"]
    us101 = TrafficSummary("", metrics=dict.fromkeys(METRICS, float("nan")) | lateral)
    return {
        "about": _ABOUT,
        "slots": slots,
        "constant_speed": constant,
        "us101": us101.to_json(),
    }


def _summary(pairs: Pairs, motion: Spectrum | None, metrics: dict[str, float]) -> dict[str, Any]:
    metrics = dict.fromkeys(METRICS, float("nan")) | metrics | following_metrics(pairs)
    if motion is None:
        return TrafficSummary("", quantiles_of(pairs), metrics, pairs=pairs.count).to_json()
    metrics |= spectrum_metrics(motion)
    return TrafficSummary(
        "", quantiles_of(pairs), metrics, density_of(motion), pairs.count
    ).to_json()


def main(
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")],
    out: Path = PATH,
) -> None:
    """Makes the summaries of real traffic with which eval.realism compares.

    The file is part of the program; this is only needed to make it again.

    Args:
        folder: with the tables i80-pairs, i80-lanes and us101-tracks (.csv.gz) of real lanes.
        out: the file.
    """
    content = summaries(folder)
    with atomic_write(out) as temporary:
        temporary.write_text(json.dumps(content, allow_nan=False, separators=(",", ":")) + "\n")
    print(f"{out}: pairs of {', '.join(content['slots'])}, tracks of US-101")


if __name__ == "__main__":
    run(main)
