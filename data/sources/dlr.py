"""DLR Highway and Urban Traffic: roadside cameras in and near Braunschweig, at 20 Hz.

Source: DLR Highway Traffic Dataset v1.1.0 and DLR Urban Traffic Dataset v1.2.0 (both CC BY-NC-SA
4.0); positions in UTM zone 32, yaw counter-clockwise from east, no lane numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks, in_columns
from ..roads.extent import refuse_stray
from ..roads.frame import LocalFrame
from .base import Source
from .table import read_named_columns

HIGHWAY_NAMES = ("dlr-highway-north", "dlr-highway-south")
"""By the direction of travel."""
URBAN_NAME = "dlr-urban"

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
_FIELDS = in_columns(
    vehicle="id", frame="timestamp", x_m="center_easting", y_m="center_northing",
    heading_rad="yaw", speed_mps="velocity_magnitude",
    length_m="dimension_length", width_m="dimension_width",
)  # fmt: skip
_UNPROTECTED = ("pedestrian", "bicycle")
_MOTORISED = ("motorbike", "car", "van", "truck")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)
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

    def read(self, path: Path) -> Iterator[RawTracks]:
        """The carriageway to the north, then that to the south."""
        rows, start, _ = _read(path, {})
        vehicle, index = np.unique(rows["vehicle"], return_inverse=True)
        northward = np.bincount(index, np.sin(rows["heading_rad"]), len(vehicle))[index] > 0
        for name, north in zip(HIGHWAY_NAMES, (True, False), strict=True):
            own = northward == north
            if not own.any():
                raise InputError(f"{path}: no vehicle travels {'north' if north else 'south'}")
            carriageway = {key: values[own] for key, values in rows.items()}
            points = np.stack([carriageway["x_m"], carriageway["y_m"]], axis=1)
            frame = _along(points, carriageway["heading_rad"])
            yield _tracks(path, name, carriageway, frame, start, "Highway Traffic Dataset v1.1.0")


@dataclass(frozen=True)
class DlrUrban(Source):
    """DLR Urban Traffic, trajectories_*.csv: one recording of an intersection, motor vehicles.

    Fetch it with ``python -m data.download dlr-urban``.  x points to the east, y to the north,
    from the south-western corner of the tracks; heading, speed and size are the source's.
    Pedestrians and cyclists (by the class that is likeliest on average) are left out.
    """

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a file."""
        classes = [f"classifications_{name}" for name in (*_UNPROTECTED, *_MOTORISED)]
        rows, start, table = _read(path, dict.fromkeys(classes, "f8"))
        vehicle, index = np.unique(rows["vehicle"], return_inverse=True)
        likelihood = [np.bincount(index, table[name], len(vehicle)) for name in classes]
        motorised = (np.argmax(likelihood, axis=0) >= len(_UNPROTECTED))[index]
        left_out = {"pedestrians and cyclists": int((~motorised).sum())}
        rows = {key: values[motorised] for key, values in rows.items()}
        if not motorised.any():
            raise InputError(f"{path}: it holds no motor vehicle")
        frame = LocalFrame(float(rows["x_m"].min()), float(rows["y_m"].min()), 0.0)
        title = "Urban Traffic Dataset v1.2.0"
        yield _tracks(path, URBAN_NAME, rows, frame, start, title, left_out)


def _read(path: Path, further: dict[str, str]) -> tuple[dict[str, np.ndarray], str, np.ndarray]:
    """All rows in the source's axes, the first time, and the table with the further columns."""
    hint = "is it trajectories_*.csv of this data set?"
    table = read_named_columns(path, _COLUMNS | further, hint)
    refuse_stray(
        table["center_easting"],
        table["center_northing"],
        lambda row, axis: f"{path}, line {row + 2}, {_FIELDS[axis]}: vehicle {table['id'][row]}",
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
    return rows, start, table


def _tracks(
    path: Path,
    name: str,
    rows: dict[str, np.ndarray],
    frame: LocalFrame,
    start: str,
    title: str,
    left_out: dict[str, int] | None = None,
) -> RawTracks:
    """Every second frame, in the recording's axes."""
    kept = rows["frame"] % _EVERY == 0
    skipped = int((~kept).sum())
    rows = {key: values[kept] for key, values in rows.items()}
    points = frame.to_local(np.stack([rows["x_m"], rows["y_m"]], axis=1))
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
        fields=_FIELDS,
        provenance={
            "site": title,
            "start": start,
            "licence": f"CC BY-NC-SA 4.0, DLR {title}",
        },
        local_frame=frame,
        left_out={**(left_out or {}), "every second frame, 20 Hz to 10 Hz": skipped},
        **rows,
    )


def _along(points: np.ndarray, heading_rad: np.ndarray) -> LocalFrame:
    """Principal axis in driving direction, through the middle, from the first row on."""
    middle = points.mean(0)
    axis = np.linalg.eigh((points - middle).T @ (points - middle))[1][:, -1]
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
            time = np.datetime64(text if _TIME.fullmatch(text) else "NaT", "us")
        except (ValueError, OverflowError):
            time = np.datetime64("NaT")
        if np.isnat(time):
            line = int(np.flatnonzero(new)[k]) + 2
            raise InputError(f"{path}, line {line}, column 'timestamp': '{text}' is not a time")
        times[k] = time.astype(np.int64)
    ticks = np.rint((times - times.min()) / _TICK_US).astype(np.int64)
    return ticks[np.cumsum(new) - 1], texts[int(times.argmin())] + "+00:00"
