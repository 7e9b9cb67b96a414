"""highD's three files, from rows whose y points up."""

from pathlib import Path

import numpy as np

from .two_way import OPPOSITE, Rows, write_csv

TOP_M = 60.0
"""The image's upper edge, in the axes of the rows."""


def write(folder: Path, rows: Rows, lines_m: np.ndarray, name: str = "01") -> Path:
    """Writes NN_tracks.csv and its siblings, two decimals as in the data set.

    Args:
        folder: where to.
        rows: at 25 Hz; vehicles from ``OPPOSITE`` on drive towards -x.
        lines_m: y of the lane markings of the carriageway towards +x; the other mirrors it.
        name: of the recording.
    """
    path = folder / f"{name}_tracks.csv"
    write_csv(
        path,
        {
            "frame": rows.frame,
            "id": rows.vehicle,
            "x": (rows.x_m - 0.5 * rows.length_m).round(2),
            "y": (TOP_M - rows.y_m - 0.5 * rows.width_m).round(2),
            "width": rows.length_m.round(2),
            "height": rows.width_m.round(2),
            "xVelocity": (rows.speed_mps * np.cos(rows.heading_rad)).round(2),
            "yVelocity": (-rows.speed_mps * np.sin(rows.heading_rad)).round(2),
            "laneId": np.zeros(len(rows), int),
        },
    )
    vehicle, count = np.unique(rows.vehicle, return_counts=True)
    write_csv(
        folder / f"{name}_tracksMeta.csv",
        {
            "id": vehicle,
            "numFrames": count,
            "class": ["Car"] * len(vehicle),
            "drivingDirection": np.where(vehicle < OPPOSITE, 2, 1),
        },
    )
    lower, upper = (
        ";".join(f"{TOP_M - y:.2f}" for y in sorted(sign * lines_m, reverse=True))
        for sign in (1, -1)
    )
    (folder / f"{name}_recordingMeta.csv").write_text(
        "id,frameRate,locationId,speedLimit,upperLaneMarkings,lowerLaneMarkings\n"
        f"1,25,2,-1.00,{upper},{lower}\n"
    )
    return path
