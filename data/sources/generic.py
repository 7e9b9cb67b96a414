"""Generic CSV tables with a mapping file for columns and units."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from ppuu.recordings.road import Road
from ppuu.runtime.config import from_json
from ppuu.runtime.errors import InputError
from ppuu.units import METRES_PER_FOOT

from ..clean.checks import check_values
from ..raw_tracks import RawTracks, in_columns
from .base import Source
from .directions import by_direction
from .resample import PROJECT_HZ, check_rate, resampled
from .table import Dialect, Piece, read_header, read_pieces

LengthUnit = Literal["m", "ft", "px"]
SpeedUnit = Literal["m/s", "km/h", "mph", "ft/s"]

_SPEED_MPS = {
    "m/s": 1.0,
    "km/h": 1.0 / 3.6,
    "mph": 5280.0 * METRES_PER_FOOT / 3600.0,
    "ft/s": METRES_PER_FOOT,
}
_LATEST_FRAME = 10**9
_TEXT = "U64"


@dataclass(frozen=True)
class Columns:
    """Column names of the table; empty if there is no such column.

    Attributes:
        vehicle: whole number of the vehicle.
        x, y: position.
        frame: whole number of the frame; or else
        time: of the row, from any start.
        heading: from the x axis towards the y axis.
        speed: never negative.
        length, width: of the vehicle; or else constants (``Mapping.length_m``, ``width_m``).
        recording: identifies recordings within one table.
    """

    vehicle: str = "vehicle"
    x: str = "x"
    y: str = "y"
    frame: str = ""
    time: str = ""
    heading: str = ""
    speed: str = ""
    length: str = ""
    width: str = ""
    recording: str = ""


@dataclass(frozen=True)
class Units:
    """Units of the columns.

    Attributes:
        position: of x and y, and of the points of lanes.
        size: of length and width.
        metres_per_pixel: needed where one of them is in pixels.
        speed, heading, time: of these columns.
    """

    position: LengthUnit = "m"
    size: LengthUnit = "m"
    metres_per_pixel: float = 0.0
    speed: SpeedUnit = "m/s"
    heading: Literal["rad", "deg"] = "rad"
    time: Literal["s", "ms"] = "s"


@dataclass(frozen=True)
class Lane:
    """One lane: its boundaries at the same stations, in driving direction, in the file's axes."""

    left: tuple[tuple[float, float], ...]
    right: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Mapping:
    """Keys of the mapping file.

    Attributes:
        frame_rate_hz: of the camera.
        columns, units: of the table.
        name: of the recordings; empty: that of the file.
        delimiter: between the fields; a field in double quotes may hold it.
        decimal: mark of the numbers in the table: a point, or a comma.
        y_points: up, to the left of x; or down, as in images.
        position: which point of the vehicle x and y give.  upper-left: smallest x and topmost
            corner of a box along the axes, whose length lies along x.
        length_m, width_m: of every vehicle, where there is no column.
        lanes: lane boundaries; by default derived from the tracks.
    """

    frame_rate_hz: float
    columns: Columns = field(default_factory=Columns)
    units: Units = field(default_factory=Units)
    name: str = ""
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    y_points: Literal["up", "down"] = "up"
    position: Literal["centre", "front", "rear", "upper-left"] = "centre"
    length_m: float = 0.0
    width_m: float = 0.0
    lanes: tuple[Lane, ...] = ()

    def __post_init__(self):
        check_rate(self.frame_rate_hz)
        columns, units = self.columns, self.units
        if not (columns.vehicle and columns.x and columns.y):
            raise InputError("columns.vehicle, columns.x and columns.y cannot be empty")
        if bool(columns.frame) == bool(columns.time):
            raise InputError("give either columns.frame or columns.time")
        for name in ("length", "width"):
            if bool(getattr(columns, name)) == (getattr(self, f"{name}_m") > 0):
                raise InputError(f"give either columns.{name} or a positive {name}_m")
        if "px" in (units.position, units.size) and not units.metres_per_pixel > 0:
            raise InputError("units in px need a positive units.metres_per_pixel")
        if self.position == "rear" and not columns.heading:
            raise InputError("position 'rear' needs columns.heading")
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise InputError(f"delimiter {self.delimiter!r} is not one character between fields")
        for k, lane in enumerate(self.lanes):
            if len(lane.left) != len(lane.right) or len(lane.left) < 2:
                raise InputError(f"lanes[{k}]: left and right need as many points, two or more")


@dataclass(frozen=True)
class GenericCsv(Source):
    """A table of any source, with a mapping file for columns and units.

    The mapping is TOML or JSON; docs/camera-example.toml has every key.  Where all traffic runs
    along one road, x runs along it, and two directions give two recordings; elsewhere the file's
    axes stay.

    Attributes:
        mapping: the mapping file; by default the table's own name with .toml or .json.
        frame_rate_hz: frames a second of the recordings, by interpolation from the camera's.
    """

    mapping: str = ""
    frame_rate_hz: float = PROJECT_HZ

    def companions(self, path: Path) -> Sequence[Path]:
        """The mapping file."""
        return [Path(self.mapping) if self.mapping else _beside(path)]

    def read(self, path: Path) -> Iterator[RawTracks]:
        """The recordings in the table, direction by direction."""
        mapping = read_mapping(*self.companions(path))
        for tracks in _recordings(path, mapping):
            for one_way in by_direction(tracks):
                yield resampled(one_way, self.frame_rate_hz)


def read_mapping(path: Path) -> Mapping:
    """Reads a mapping file.

    Raises:
        InputError: not such a file; a key or value that is not known, with the nearest that is.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file; it must be TOML or JSON") from None
    values = _parsed(path, text)
    try:
        return from_json(Mapping, values, where=str(path))
    except InputError as error:
        message = str(error)
        raise InputError(message if str(path) in message else f"{path}: {message}") from None


def _beside(path: Path) -> Path:
    found = [path.with_suffix(suffix) for suffix in (".toml", ".json")]
    for mapping in found:
        if mapping.is_file():
            return mapping
    raise InputError(
        f"{path}: no {found[0].name} or {found[1].name} beside it; write one or give --mapping"
    )


def _parsed(path: Path, text: str) -> Any:
    try:
        if path.suffix == ".json":
            return json.loads(text)
        if sys.version_info < (3, 11):
            raise InputError(f"{path}: TOML needs Python 3.11 or newer; write the mapping as JSON")
        import tomllib

        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as {path.suffix or 'TOML'} ({error})") from None


def _recordings(path: Path, mapping: Mapping) -> Iterator[RawTracks]:
    """One recording for each value of the ``recording`` column, in metres, y to the left of x."""
    table = _table(path, mapping)
    name = mapping.name or path.stem
    if not mapping.columns.recording:
        yield _tracks(path, mapping, table, name)
        return
    of = table.rows["recording"]
    for value in np.unique(of):
        own = Piece(table.rows[of == value], table.line[of == value])
        yield _tracks(path, mapping, own, f"{name}-{value}")


def _table(path: Path, mapping: Mapping) -> Piece:
    """The mapped columns, under the names of ``Columns``."""
    header = read_header(path, mapping.delimiter)
    columns = {}
    for key, name in vars(mapping.columns).items():
        if not name:
            continue
        if name not in header:
            near = difflib.get_close_matches(name, header, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "; see columns in the mapping"
            raise InputError(f"{path}, line 1: no column '{name}' for {key}{hint}")
        kind = {"vehicle": "i8", "frame": "i8", "recording": _TEXT}.get(key, "f8")
        columns[key] = (header.index(name), kind)
    cure = "set decimal in the mapping, '.' or ',', if all numbers are written so; else correct it"
    dialect = Dialect(mapping.delimiter, mapping.decimal, cure=cure)
    pieces = list(read_pieces(path, columns, len(header), dialect, header_lines=1))
    return Piece(
        np.concatenate([piece.rows for piece in pieces]),
        np.concatenate([piece.line for piece in pieces]),
    )


def _tracks(path: Path, mapping: Mapping, table: Piece, name: str) -> RawTracks:
    """One recording in metres, y to the left of x, positions at the centre."""
    rows, line = table.rows, table.line
    there = set(rows.dtype.names or ())
    units, up = mapping.units, 1.0 if mapping.y_points == "up" else -1.0
    with np.errstate(over="ignore"):  # overflow is rejected by the checks
        position_m, size_m = (_metres(units, unit) for unit in (units.position, units.size))
        length_m, width_m = (
            size_m * rows[key] if key in there else np.full(len(rows), getattr(mapping, f"{key}_m"))
            for key in ("length", "width")
        )
        heading_rad = speed_mps = None
        if "heading" in there:
            heading_rad = up * {"rad": 1.0, "deg": np.pi / 180.0}[units.heading] * rows["heading"]
        if "speed" in there:
            speed_mps = _SPEED_MPS[units.speed] * rows["speed"]
        tracks = RawTracks(
            name=name,
            file=str(path),
            dt_s=1.0 / mapping.frame_rate_hz,
            road=_road(mapping, position_m, up),
            vehicle=rows["vehicle"],
            frame=_frames(path, mapping, rows, line),
            x_m=position_m * rows["x"],
            y_m=up * position_m * rows["y"],
            length_m=length_m,
            width_m=width_m,
            heading_rad=heading_rad,
            speed_mps=speed_mps,
            line=line,
            fields=_fields(mapping.columns),
        )
    check_values(tracks)
    return _centred(tracks, mapping.position)


def _fields(named: Columns) -> dict[str, str]:
    """``RawTracks.fields`` from the mapping."""
    names = {
        "vehicle": named.vehicle,
        "frame": named.frame or named.time,
        "x_m": named.x,
        "y_m": named.y,
        "heading_rad": named.heading,
        "speed_mps": named.speed,
        "length_m": named.length,
        "width_m": named.width,
    }
    return in_columns(**{key: name for key, name in names.items() if name})


def _metres(units: Units, unit: LengthUnit) -> float:
    return {"m": 1.0, "ft": METRES_PER_FOOT, "px": units.metres_per_pixel}[unit]


def _frames(
    path: Path, mapping: Mapping, rows: np.ndarray, line: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """Frame numbers, derived from the time if there are none.

    Raises:
        InputError: a number that is out of range, or a time between two frames.
    """
    if mapping.columns.frame:
        key, frame = "frame", rows["frame"].astype(float)
    else:
        unit_s = {"s": 1.0, "ms": 1e-3}[mapping.units.time]
        key = "time"
        frame = (rows["time"] - rows["time"].min()) * unit_s * mapping.frame_rate_hz
    for bad, why in (
        (~(np.abs(frame) < _LATEST_FRAME), "is out of range"),
        (np.abs(frame - np.rint(frame)) > 0.25, "lies between two frames; is frame_rate_hz right?"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            column = getattr(mapping.columns, key)
            raise InputError(f"{path}, line {line[row]}, column '{column}': {rows[key][row]} {why}")
    return np.rint(frame).astype(np.int64)


def _road(mapping: Mapping, metres: float, up: float) -> Road | None:
    if not mapping.lanes:
        return None
    scale = metres * np.array([1.0, up])
    return Road.from_lanes(
        [(scale * np.array(lane.left), scale * np.array(lane.right)) for lane in mapping.lanes]
    )


def _centred(tracks: RawTracks, position: str) -> RawTracks:
    """Moves positions from the recorded point to the centre of the box."""
    if position == "centre":
        return tracks
    if position == "upper-left":
        x_m, y_m = tracks.x_m + 0.5 * tracks.length_m, tracks.y_m - 0.5 * tracks.width_m
        return replace(tracks, x_m=x_m, y_m=y_m)
    if tracks.heading_rad is None:
        return replace(tracks, at_front=True)
    ahead_m: Float[np.ndarray, " n"] = (-0.5 if position == "front" else 0.5) * tracks.length_m
    return replace(
        tracks,
        x_m=tracks.x_m + ahead_m * np.cos(tracks.heading_rad),
        y_m=tracks.y_m + ahead_m * np.sin(tracks.heading_rad),
    )
