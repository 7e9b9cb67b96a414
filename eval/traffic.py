"""``python -m eval.traffic``: how real traffic is that drives itself, and how often it collides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.clean import overlapping_pairs
from envs.core.variation import Variation
from envs.traffic.registry import traffic_by_name
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.recordings.scene import Scene
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output

from .metrics.lost_vehicles import lost_vehicles
from .realism.comparison import DISTANCES, FIGURES, rows_of
from .realism.driven import drive
from .realism.real import RealTraffic
from .realism.summary import TrafficSummary, summarise
from .reports.results import write_results
from .reports.tables import Column, text_table
from .statistics.intervals import over_seeds
from .statistics.metric import Metric, Row

CLOSED_LOOP = (
    Column("name", "closed loop"),
    Column("realism", digits=3),
    Column("overlaps_per_vehicle_hour", "overlapping pairs / vehicle-hour", digits=2),
    Column("lost_per_vehicle_hour", "lost vehicles / vehicle-hour", digits=2),
    Column("relative_speed", "mean speed / recorded", digits=3),
    Column("relative_vehicles", "vehicles / recorded", digits=3),
    Column("lane_changes_per_vehicle_hour", "lane changes / vehicle-hour", digits=1),
    Column("vehicle_hours", digits=2),
)


@dataclass(frozen=True, eq=False)
class Drive:
    """One stretch of time, as recorded and as driven.

    Attributes:
        recorded: the vehicles as in the recording.
        driven: by the traffic under test, from the same beginning.
    """

    recorded: Recording
    driven: Recording

    def figures(self) -> dict[str, float]:
        """Of this stretch alone."""
        driven, recorded = self.driven, self.recorded
        hours = _hours(driven)
        return {
            "overlaps_per_vehicle_hour": len(overlapping_pairs(driven)) / hours,
            "lost_per_vehicle_hour": lost_vehicles(driven) / hours,
            "relative_speed": float(driven.speed_mps.mean() / recorded.speed_mps.mean()),
            "relative_vehicles": driven.rows / recorded.rows,
        }


def _hours(recording: Recording) -> float:
    return recording.rows * recording.dt_s / 3600.0


def drive_all(
    recordings: Sequence[Recording],
    others: str,
    seconds: float,
    start_s: float,
    variation: Variation,
) -> list[Drive]:
    """Every recording's stretch, driven by the named traffic in a varied world.

    Raises:
        InputError: an unknown traffic, or too short a recording.
    """
    drives = []
    for recording in map(variation.recording, recordings):
        scene = variation.scene(Scene.build([recording]))
        first, frames = round(start_s / recording.dt_s), round(seconds / recording.dt_s)
        made = [
            drive(
                traffic_by_name(name, scene, [recording], config),
                scene, recording, first, frames, name,
            )
            for name, config in (("replay", None), (others, variation.others()))
        ]  # fmt: skip
        drives.append(Drive(*made))
    return drives


def row_of(name: str, drives: Sequence[Drive], real: RealTraffic) -> Row:
    """Rates are means over the drives; realism is that of all of them together."""
    driven = [one.driven for one in drives]
    summary: TrafficSummary = summarise(name, driven)
    compared = rows_of([summary], real, "0400")[-1]
    figures = [one.figures() for one in drives]
    means: dict[str, Metric] = {
        key: over_seeds(np.array([each[key] for each in figures])) for key in figures[0]
    }
    return {**compared, **means}


def main(
    recordings: tuple[Path, ...],
    others: tuple[str, ...],
    seconds: float = 60.0,
    start_s: float = 10.0,
    vary: str = Variation().name,
    json: Path | None = None,
    out: Path | None = None,
) -> None:
    """Lets traffic drive on by itself, without an ego, and compares it with real traffic.

    Vehicles begin where they were recorded and enter where, when and as fast as they were; the rest
    is up to the traffic: replay, reactive (or reactive:polite, reactive:assertive), sumo,
    policy:RUN, model:RUN (docs/environment.md).  The result is measured as by eval.realism.

    realism: likelihood of the features of real pairs (NGSIM, I-80) under the traffic's; 1 is the
    real traffic itself.

    overlapping pairs: pairs of vehicles whose boxes overlap in at least one frame; they drive on.

    lost vehicles: those that leave the road in its middle.

    Rates are means over the recordings, with Student's 95 % intervals.

    Example: python -m eval.traffic --recordings dense-100.h5 dense-101.h5 --others reactive
    model:pretrained

    Args:
        recordings: files written by data.generate or data.prepare.
        others: how vehicles move, one or several.
        seconds: length of each drive.
        start_s: where in a recording it begins.
        vary: variation of the recorded world: phantom_braking=2,inattention_s=1.5,seed=1 and so
            on (docs/environment.md); seed is that of what is random.
        json: where to write the table; printed either way.
        out: folder for the driven traffic, as recordings.
    """
    check_output(json)
    if len(set(others)) < len(others) or not others:
        raise InputError(f"--others {' '.join(others)}: name each kind once, and at least one")
    loaded, real = load_recordings(recordings), RealTraffic.load()
    variation = Variation.parse(vary)
    rows: list[Row] = []
    for name in others:
        drives = drive_all(loaded, name, seconds, start_s, variation)
        rows.append(row_of(name, drives, real))
        print(text_table(rows[-1:], CLOSED_LOOP), flush=True)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for one in drives:
                one.driven.save(out / f"{one.driven.name.replace(' ', '-').replace(':', '-')}.h5")
    tables = (text_table(rows, columns) for columns in (CLOSED_LOOP, DISTANCES, FIGURES))
    print("\n" + "\n\n".join(tables))
    if json is not None:
        config = {
            "recordings": [recording.name for recording in loaded],
            "hashes": [recording.content_hash for recording in loaded],
            "others": list(others), "seconds": seconds, "start_s": start_s, "vary": variation.name,
        }  # fmt: skip
        write_results(json, "eval.traffic", config, rows)


if __name__ == "__main__":
    run(main)
