"""``python -m eval.difficulty``: how hard recordings are, as a table and time-space diagrams."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from data.clean import overlapping_pairs
from ppuu.driving.gaps import bumper_gap_m
from ppuu.recordings.recording import Recording
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .realism.road_coordinates import RoadCoordinates
from .reports.tables import Column, markdown_table, percent
from .statistics.metric import Row

_LARGEST_SPEED_MPS = 30.0
"""End of the diagrams' colour scale."""
_LONGEST_GAP_M = 80.0
"""A vehicle further behind does not follow."""


def table(results: Sequence[Mapping], recordings: Sequence[Recording]) -> str:
    """Markdown: a row for each recording, each driver's success in per cent with its interval.

    Beside them the share of vehicles that overlap another one in some frame.

    Args:
        results: files of ``eval.closed_loop``, each about one recording, with the same drivers.
        recordings: the same, in the same order.
    """
    drivers = [row["name"] for row in results[0]["rows"]]
    rows: list[Row] = []
    for result, recording in zip(results, recordings, strict=True):
        success = [row["success"] for row in result["rows"]]
        rows.append({
            "recording": recording.name,
            "vehicles": recording.rows / recording.frames,
            "speed_mps": float(recording.speed_mps.mean()),
            "gap_m": _median_gap_m(recording),
            "overlapping": _overlapping_share(recording),
            "episodes": success[0]["n"],
            **dict(zip(drivers, success, strict=True)),
        })  # fmt: skip
    columns = [
        Column("recording"),
        Column("vehicles", "vehicles at a time", digits=0),
        Column("speed_mps", "speed, m/s", digits=1),
        Column("gap_m", "gap, m", digits=1),
        *percent("overlapping", digits=2),
        Column("episodes"),
        *percent(*drivers, digits=0),
    ]
    return markdown_table(rows, columns)


def _overlapping_share(recording: Recording) -> float:
    """Of the vehicles: those that overlap another in some frame."""
    pairs = overlapping_pairs(recording)
    return len({vehicle for pair in pairs for vehicle in pair["vehicles"]}) / recording.vehicles


def _median_gap_m(recording: Recording) -> float:
    """Bumper to bumper, of vehicles that follow another in their lane."""
    place = RoadCoordinates.of(recording)
    behind, ahead = place.consecutive(recording)
    length = recording.length_m[recording.row_vehicle]
    distance = place.lane_station_m[ahead] - place.lane_station_m[behind]
    gap = bumper_gap_m(distance, length[behind], length[ahead])
    return float(np.median(gap[(gap > 0) & (gap < _LONGEST_GAP_M)]))


def draw(recording: Recording, path: Path) -> None:
    """A time-space diagram of every lane, leftmost on top, coloured by speed."""
    from matplotlib.figure import Figure
    from PIL import Image

    lane = recording.road.lane_index(np.stack([recording.x_m, recording.y_m], axis=1))
    lanes = recording.road.lanes
    figure = Figure(figsize=(8, 1.3 * lanes), layout="constrained")
    axes = figure.subplots(lanes, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for number, axis in enumerate(axes):
        rows = lane == number
        shown = axis.scatter(
            recording.frame[rows] * recording.dt_s, recording.x_m[rows], 0.15,
            recording.speed_mps[rows], cmap="turbo_r", vmin=0.0, vmax=_LARGEST_SPEED_MPS,
            rasterized=True,
        )  # fmt: skip
        axis.set_ylabel(f"lane {number + 1}\nx in m")
    axes[-1].set_xlabel("time in s")
    figure.colorbar(shown, ax=axes, label="speed in m/s", aspect=40)
    picture = BytesIO()
    figure.savefig(picture, dpi=70, format="png")
    with atomic_write(path) as temporary:
        # A palette makes the file several times smaller.
        Image.open(picture).convert("RGB").quantize(200).save(temporary, "PNG", optimize=True)


def main(results: tuple[Path, ...], pictures: Path | None = None) -> None:
    """Prints the success rates of simple policies on several recordings as a Markdown table.

    Args:
        results: files of eval.closed_loop --json, one a recording, with the same policies.
        pictures: folder for a time-space diagram of each recording.
    """
    loaded = [_load(path) for path in results]
    recordings = [Recording.load(Path(result["config"]["recordings"][0])) for result in loaded]
    if pictures is not None:
        for recording in recordings:
            draw(recording, pictures / f"{recording.name}.png")
    print(table(loaded, recordings))


def _load(path: Path) -> dict:
    try:
        result = json.loads(path.read_text())
        drivers, files = [row["name"] for row in result["rows"]], result["config"]["recordings"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a result file of eval.closed_loop ({error!r})") from None
    if not drivers or len(files) != 1:
        raise InputError(
            f"{path}: covers {len(files)} recordings; give one result file for each recording"
        )
    return result


if __name__ == "__main__":
    run(main)
