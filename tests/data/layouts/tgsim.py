"""TGSIM's table, from rows whose y points up."""

from pathlib import Path

import numpy as np

from .two_way import Rows, write_csv

TOP_M = 60.0
"""The image's upper edge, in the axes of the rows."""


def write(path: Path, rows: Rows, run: np.ndarray | None = None, hyphens: bool = True) -> Path:
    """Writes a table as of a highway, or as of Foggy Bottom if there are no runs.

    Args:
        path: of the file.
        rows: at 10 Hz.
        run: of each row.
        hyphens: the older spelling of the names.
    """
    columns = {
        "id": rows.vehicle,
        "time": (rows.frame / 10).round(1),
        "xloc_kf": rows.x_m.round(4),
        "yloc_kf": (TOP_M - rows.y_m).round(4),
        "lane_kf": np.ones(len(rows), int),
        "length_smoothed": rows.length_m.round(4),
        "width_smoothed": rows.width_m.round(4),
        "type_most_common": np.full(len(rows), 3),
    }
    if run is None:
        columns["speed_kf_x"] = (rows.speed_mps * np.cos(rows.heading_rad)).round(3)
    else:
        columns |= {"speed_kf": rows.speed_mps.round(3), "run_index": run}
    if hyphens:
        columns = {key.replace("_", "-").replace("id", "ID"): v for key, v in columns.items()}
    write_csv(path, columns)
    return path
