"""DLR Highway Traffic: a German motorway seen by roadside cameras, both directions, at 20 Hz.

Source: DLR Highway Traffic Dataset v1.1.0 (CC BY-NC-SA 4.0), positions in UTM, no lane numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ppuu.errors import InputError

from ..raw import RawTracks
from ..roads.frame import LocalFrame
from .base import Source
from .table import read_columns

NAMES = ("dlr-highway-north", "dlr-highway-south")
"""By the direction of travel."""

_COLUMNS = {
    "timestamp": "U32",
    "id": "i8",
    "center_easting": "f8",
    "center_northing": "f8",
    "velocity_magnitude": "f8",
    "yaw": "f8",
    "dimension_length": "f8",
    "dimension_width": "f8",
}
_TICK_US = 50_000
_EVERY = 2
"""Every second frame is kept: 20 Hz becomes 10 Hz."""


@dataclass(frozen=True)
class DlrHighway(Source):
    """DLR Highway Traffic, trajectories_*.csv: two recordings, one for each direction.

    Fetch it with ``python -m data.download dlr-highway``.  x runs along the principal axis of the
    carriageway in driving direction, from 0 at the first row; heading, speed and size are the
    source's (positions and headings agree to 0.3 degrees).
    """

    version: ClassVar[int] = 1

    def read(self, path: Path) -> Iterator[RawTracks]:
        """The carriageway to the north, then that to the south."""
        with path.open(encoding="utf-8", errors="replace") as file:
            header = file.readline().strip().split(",")
        for name in _COLUMNS:
            if name not in header:
                raise InputError(f"{path}: column '{name}' is missing; is it trajectories_*.csv?")
        table = read_columns(
            path,
            {name: (header.index(name), kind) for name, kind in _COLUMNS.items()},
            width=len(header),
            delimiter=",",
            header_lines=1,
        )
        tick, start = _ticks(table["timestamp"], path)
        rows = {
            "vehicle": table["id"],
            "frame": tick,
            "x_m": table["center_easting"],
            "y_m": table["center_northing"],
            "heading_rad": np.radians(table["yaw"]),
            "speed_mps": table["velocity_magnitude"],
            "length_m": table["dimension_length"],
            "width_m": table["dimension_width"],
            "line": np.arange(len(table)) + 2,
        }
        for name, north in zip(NAMES, (True, False), strict=True):
            yield _direction(path, name, rows, north, start)


def _direction(path: Path, name: str, rows: dict, north: bool, start: str) -> RawTracks:
    """All vehicles that travel to the north (or the south)."""
    vehicle, index = np.unique(rows["vehicle"], return_inverse=True)
    northward = np.bincount(index, np.sin(rows["heading_rad"]), len(vehicle))[index] > 0
    own = northward == north
    kept = own & (rows["frame"] % _EVERY == 0)
    if not kept.any():
        raise InputError(f"{path}: no vehicle travels {'north' if north else 'south'}")
    rows = {key: values[kept] for key, values in rows.items()}
    points = np.stack([rows["x_m"], rows["y_m"]], axis=1)
    frame = _axes(points, rows["heading_rad"])
    points = frame.to_local(points)
    rows |= {
        "frame": rows["frame"] // _EVERY,
        "x_m": points[:, 0],
        "y_m": points[:, 1],
        "heading_rad": np.angle(np.exp(1j * (rows["heading_rad"] - frame.angle_rad))),
    }
    return RawTracks(
        name=name,
        file=str(path),
        dt_s=_EVERY * _TICK_US * 1e-6,
        road=None,
        provenance={
            "start": start,
            "licence": "CC BY-NC-SA 4.0, DLR Highway Traffic Dataset v1.1.0",
            "frame": frame.as_json(),
        },
        left_out={"every second frame, 20 Hz to 10 Hz": int(own.sum() - kept.sum())},
        **rows,
    )


def _axes(points: np.ndarray, heading_rad: np.ndarray) -> LocalFrame:
    """Principal axis in driving direction, through the middle, from the first row on."""
    middle = points.mean(0)
    axis = np.linalg.eigh(np.cov((points - middle).T))[1][:, -1]
    direction = np.array([np.cos(heading_rad).mean(), np.sin(heading_rad).mean()])
    axis = axis * np.sign(axis @ direction)
    origin = middle + axis * ((points - middle) @ axis).min()
    return LocalFrame(float(origin[0]), float(origin[1]), float(np.arctan2(axis[1], axis[0])))


def _ticks(timestamps: np.ndarray, path: Path) -> tuple[np.ndarray, str]:
    """Frame number of each row, from 0 at the first timestamp; and that timestamp."""
    # The rows of one frame stand together: convert each run of equal timestamps once.
    new = np.concatenate([[True], timestamps[1:] != timestamps[:-1]])
    texts = [text.split("+")[0] for text in timestamps[new].tolist()]
    times = np.zeros(len(texts), np.int64)
    for k, text in enumerate(texts):
        try:
            times[k] = np.datetime64(text, "us").astype(np.int64)
        except ValueError:
            line = int(np.flatnonzero(new)[k]) + 2
            raise InputError(
                f"{path}, line {line}, column 'timestamp': '{text}' is not a time"
            ) from None
    ticks = np.rint((times - times.min()) / _TICK_US).astype(np.int64)
    return ticks[np.cumsum(new) - 1], texts[int(times.argmin())] + "+00:00"
