"""Tables as somebody's camera might write them, with the mapping that explains them."""

import json
from pathlib import Path

import numpy as np

from .two_way import Rows, write_csv

FOOT_M = 0.3048


def write(folder: Path, columns: dict, mapping: dict, delimiter: str = ",") -> Path:
    """The table ``camera.csv`` and ``camera.json`` beside it."""
    path = folder / "camera.csv"
    write_csv(path, columns, delimiter)
    path.with_suffix(".json").write_text(json.dumps(mapping))
    return path


def plain(rows: Rows, hz: float = 10.0) -> tuple[dict, dict]:
    """Columns and mapping in SI units, positions at the centre."""
    columns = {
        "id": rows.vehicle,
        "n": rows.frame,
        "x": rows.x_m,
        "y": rows.y_m,
        "yaw": rows.heading_rad,
        "v": rows.speed_mps,
        "l": rows.length_m,
        "w": rows.width_m,
    }
    names = {"vehicle": "id", "frame": "n", "heading": "yaw", "speed": "v"}
    return columns, {"frame_rate_hz": hz, "columns": names | {"length": "l", "width": "w"}}


def american(rows: Rows, hz: float) -> tuple[dict, dict]:
    """Feet, miles an hour, degrees, milliseconds, front bumper, y downwards."""
    ahead = 0.5 * rows.length_m
    columns = {
        "Vehicle": rows.vehicle,
        "Time": 1_700_000_000_000 + (rows.frame * 1000.0 / hz).round().astype(int),
        "X": (rows.x_m + ahead * np.cos(rows.heading_rad)) / FOOT_M,
        "Y": -(rows.y_m + ahead * np.sin(rows.heading_rad)) / FOOT_M,
        "Yaw": -np.degrees(rows.heading_rad),
        "Speed": rows.speed_mps / 0.44704,
        "Length": rows.length_m / FOOT_M,
        "Width": rows.width_m / FOOT_M,
    }
    names = {"vehicle": "Vehicle", "time": "Time", "x": "X", "y": "Y", "heading": "Yaw"}
    names |= {"speed": "Speed", "length": "Length", "width": "Width"}
    units = {"position": "ft", "size": "ft", "speed": "mph", "heading": "deg", "time": "ms"}
    return columns, {
        "frame_rate_hz": hz,
        "columns": names,
        "units": units,
        "position": "front",
        "y_points": "down",
        "delimiter": ";",
    }


def boxes(rows: Rows, metres_per_pixel: float) -> tuple[dict, dict]:
    """Bounding boxes of a detector, in pixels from the upper left corner; nothing else."""
    columns = {
        "track": rows.vehicle,
        "frame": rows.frame,
        "left": (rows.x_m - 0.5 * rows.length_m) / metres_per_pixel,
        "top": (-rows.y_m - 0.5 * rows.width_m) / metres_per_pixel,
        "w": rows.length_m / metres_per_pixel,
        "h": rows.width_m / metres_per_pixel,
    }
    names = {"vehicle": "track", "frame": "frame", "x": "left", "y": "top"}
    return columns, {
        "frame_rate_hz": 10,
        "columns": names | {"length": "w", "width": "h"},
        "units": {"position": "px", "size": "px", "metres_per_pixel": metres_per_pixel},
        "position": "upper-left",
        "y_points": "down",
    }
