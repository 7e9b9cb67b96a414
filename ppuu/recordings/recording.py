"""Recordings: tracks of all vehicles of one camera session, in SI units, stored in HDF5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

from ..runtime.errors import InputError
from ..runtime.files import atomic_write
from .road import Road

SCHEMA_VERSION = 2
_FORMAT = "ppuu-recording"

_ROWS = {"frame": np.int32, "x_m": np.float64, "y_m": np.float64} | {
    "heading_rad": np.float32,
    "speed_mps": np.float32,
}
_VEHICLES = {"vehicle_id": np.int64, "length_m": np.float32, "width_m": np.float32}


@dataclass(frozen=True, eq=False)
class Recording:
    """Tracks as flat arrays, with rows sorted by vehicle, then by frame.

    Vehicle ``v`` owns the rows ``vehicle_pointer[v]:vehicle_pointer[v + 1]``; its frames are
    consecutive (a reader splits a track at a gap or fills it).  A pose is the centre of the
    vehicle's box; x along the road, y to the left, heading counter-clockwise.

    Attributes:
        frame: ``(rows,)`` int32, from 0.
        x_m, y_m: ``(rows,)`` float64.
        heading_rad: ``(rows,)`` float32.
        speed_mps: ``(rows,)`` float32, never negative.
        vehicle_pointer: ``(vehicles + 1,)`` int64.
        vehicle_id: ``(vehicles,)`` int64, number in the source.
        length_m, width_m: ``(vehicles,)`` float32.
        road: lanes and drivable area.
        dt_s: seconds between frames.
        name: of the recording, e.g. ``us101-1_1``.
        provenance: origin of the data (source, command, seeds, repairs); JSON values only.
    """

    frame: np.ndarray
    x_m: np.ndarray
    y_m: np.ndarray
    heading_rad: np.ndarray
    speed_mps: np.ndarray
    vehicle_pointer: np.ndarray
    vehicle_id: np.ndarray
    length_m: np.ndarray
    width_m: np.ndarray
    road: Road
    dt_s: float = 0.1
    name: str = "recording"
    provenance: Mapping = field(default_factory=dict)

    def __post_init__(self):
        for key, kind in {**_ROWS, **_VEHICLES, "vehicle_pointer": np.int64}.items():
            object.__setattr__(self, key, np.ascontiguousarray(getattr(self, key), kind))
        problem = self._problem()
        if problem:
            raise InputError(f"recording '{self.name}': {problem}")

    def _problem(self) -> str | None:
        rows = self.rows
        if any(len(getattr(self, key)) != rows for key in _ROWS):
            return "the row arrays differ in length"
        if any(len(getattr(self, key)) != self.vehicles for key in _VEHICLES):
            return "the vehicle arrays differ in length"
        if not self.dt_s > 0:
            return f"dt_s is {self.dt_s}; it must be positive"
        if self.vehicles < 1:
            return "it holds no vehicle"
        counts = np.diff(self.vehicle_pointer)
        if self.vehicle_pointer[0] != 0 or self.vehicle_pointer[-1] != rows or counts.min() < 1:
            return "vehicle_pointer does not partition the rows"
        inside = np.ones(rows - 1, bool)
        inside[self.vehicle_pointer[1:-1] - 1] = False
        step = np.diff(self.frame)
        if (step[inside] != 1).any():
            vehicle = self.row_vehicle[np.flatnonzero(inside & (step != 1))[0]]
            return f"vehicle {self.vehicle_id[vehicle]}: its frames are not consecutive"
        for key in ("x_m", "y_m", "heading_rad", "speed_mps"):
            bad = np.flatnonzero(~np.isfinite(getattr(self, key)))
            if len(bad):
                vehicle = self.vehicle_id[self.row_vehicle[bad[0]]]
                return f"vehicle {vehicle}, frame {self.frame[bad[0]]}: {key} is not a number"
        if self.frame.min() < 0:
            return f"a frame number is negative ({self.frame.min()})"
        if self.speed_mps.min() < 0:
            return f"a speed is negative ({self.speed_mps.min():.3f} m/s)"
        if not (self.length_m.min() > 0 and self.width_m.min() > 0):
            return "a vehicle has no size; lengths and widths must be positive"
        return None

    @property
    def rows(self) -> int:
        """Number of (vehicle, frame) pairs."""
        return len(self.frame)

    @property
    def vehicles(self) -> int:
        """Number of tracks."""
        return len(self.vehicle_id)

    @property
    def frames(self) -> int:
        """Number of frames, empty ones included: one more than the last frame."""
        return int(self.frame.max()) + 1

    @property
    def duration_s(self) -> float:
        """Length of the recording."""
        return self.frames * self.dt_s

    @cached_property
    def row_vehicle(self) -> np.ndarray:
        """``(rows,)`` index of the vehicle that owns each row."""
        return np.repeat(np.arange(self.vehicles), np.diff(self.vehicle_pointer))

    @cached_property
    def rows_by_frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers ordered by frame, and a pointer ``(frames + 1,)`` into them."""
        order = np.argsort(self.frame, kind="stable")
        counts = np.bincount(self.frame, minlength=self.frames)
        return order, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def first_frame(self) -> np.ndarray:
        """``(vehicles,)`` first frame of each track."""
        return self.frame[self.vehicle_pointer[:-1]]

    @property
    def last_frame(self) -> np.ndarray:
        """``(vehicles,)`` last frame of each track."""
        return self.frame[self.vehicle_pointer[1:] - 1]

    def track(self, vehicle: int) -> np.ndarray:
        """Ego states ``(frames of the track, 4)``: x_m, y_m, heading_rad, speed_mps."""
        rows = slice(self.vehicle_pointer[vehicle], self.vehicle_pointer[vehicle + 1])
        columns = (self.x_m, self.y_m, self.heading_rad, self.speed_mps)
        return np.stack([column[rows] for column in columns], axis=1)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of tracks, sizes, road and frame rate, without names and provenance."""
        digest = hashlib.sha256(str(self.dt_s).encode())
        for key in (*_ROWS, *_VEHICLES, "vehicle_pointer"):
            digest.update(getattr(self, key).tobytes())
        for array in (self.road.lane_pointer, self.road.left_m, self.road.right_m):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Writes a file with this recording only; see ``save_recordings``."""
        save_recordings(path, [self])

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Reads a file with one recording; ``load_recordings`` reads any number.

        Raises:
            InputError: see ``load_recordings``; or several recordings.
        """
        recordings = load_recordings([path])
        if len(recordings) > 1:
            names = ", ".join(recording.name for recording in recordings)
            raise InputError(
                f"{path}: holds {len(recordings)} recordings ({names}); use load_recordings"
            )
        return recordings[0]


def save_recordings(path: str | Path, recordings: Sequence[Recording]) -> None:
    """Writes an HDF5 file, atomically.

    Layout: ``recordings/0``, ``recordings/1``, ..., each with its attributes, ``rows``,
    ``vehicles`` and ``road``.

    Raises:
        InputError: no recording, two with the same name, or as ``check_replaceable``.
    """
    path = Path(path)
    check_replaceable(path)
    names = [recording.name for recording in recordings]
    if not names:
        raise InputError(f"{path}: no recording to write")
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise InputError(f"{path}: two recordings have the name '{duplicate}'; rename one of them")
    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["format"] = _FORMAT
        file.attrs["schema_version"] = SCHEMA_VERSION
        for index, recording in enumerate(recordings):
            _write(file.create_group(f"recordings/{index}"), recording)


def check_replaceable(path: Path) -> None:
    """Refuses to write recordings over a file that holds something else.

    A recording that is damaged or of another schema may be replaced, and so may an empty file.

    Raises:
        InputError: not HDF5, or HDF5 that is no recording.
    """
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        foreign = not h5py.is_hdf5(path)
        if not foreign:
            with h5py.File(path, "r") as file:
                foreign = file.attrs.get("format") != _FORMAT
    except OSError:  # HDF5 that is cut off
        return
    if foreign:
        raise InputError(
            f"{path}: exists and is not a ppuu recording; give another name, or remove it"
        )


@dataclass(frozen=True)
class StoredRecording:
    """Reference to a recording in a file, not loaded yet.

    Attributes:
        path: the file.
        index: in the file.
        name: of the recording.
        dt_s: seconds between frames.
    """

    path: Path
    index: int
    name: str
    dt_s: float

    def load(self) -> Recording:
        """Loads the recording.

        Raises:
            InputError: truncated or inconsistent.
        """
        with _reading(self.path, f"recording '{self.name}': ") as groups:
            return _read(groups[str(self.index)], self.name)


def require_one_frame_rate(recordings: Sequence[Recording] | Sequence[StoredRecording]) -> None:
    """Refuses recordings that no scene can hold together.

    Raises:
        InputError: they differ in frame rate.
    """
    first = recordings[0]
    for one in recordings:
        if round(one.dt_s, 6) != round(first.dt_s, 6):
            raise InputError(
                f"recordings differ in frame spacing ('{first.name}' {first.dt_s:g} s, "
                f"'{one.name}' {one.dt_s:g} s); prepare them at one frame rate"
            )


def list_recordings(paths: Sequence[str | Path]) -> list[StoredRecording]:
    """Recordings of some files in order, without loading the tracks.

    Names that occur in several files get a number, so that names are unique.

    Raises:
        InputError: no file, or a file given twice, missing, truncated, or of another format or
            schema.
    """
    if not paths:
        raise InputError("no recording given; create one with data.generate or data.prepare")
    recordings: list[StoredRecording] = []
    names: set[str] = set()
    files = [path.resolve() for path in map(Path, paths)]
    for path, file in zip(map(Path, paths), files, strict=True):
        if files.count(file) > 1:
            raise InputError(f"{path}: given twice; remove one")
        with _reading(path) as groups:
            if not len(groups):
                raise InputError("holds no recording; create the file again")
            count = len(groups)
        for index in range(count):
            with _reading(path, f"recording {index}: ") as groups:
                group = groups[str(index)]
                stored, dt_s = str(group.attrs["name"]), float(group.attrs["dt_s"])
            name, number = stored, 1
            while name in names:
                number += 1
                name = f"{stored} ({number})"
            names.add(name)
            recordings.append(StoredRecording(path, index, name, dt_s))
    return recordings


def load_recordings(paths: Sequence[str | Path]) -> list[Recording]:
    """Loads all recordings of some files in order, with the names of ``list_recordings``.

    Raises:
        InputError: see ``list_recordings``; or an inconsistent recording.
    """
    return [stored.load() for stored in list_recordings(paths)]


def _write(group: h5py.Group, recording: Recording) -> None:
    group.attrs["name"] = recording.name
    group.attrs["dt_s"] = recording.dt_s
    group.attrs["provenance"] = json.dumps(dict(recording.provenance))
    for group_name, keys in (("rows", _ROWS), ("vehicles", _VEHICLES)):
        for key in keys:
            group.create_dataset(
                f"{group_name}/{key}", data=getattr(recording, key), compression="gzip",
                compression_opts=1, shuffle=True,
            )  # fmt: skip
    group["vehicles/row_pointer"] = recording.vehicle_pointer
    group["road/lane_pointer"] = recording.road.lane_pointer
    group["road/left_m"] = recording.road.left_m
    group["road/right_m"] = recording.road.right_m


@contextmanager
def _reading(path: Path, where: str = "") -> Iterator[h5py.Group]:
    """Opens the recordings of a file; any error is raised as an InputError that names ``where``."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; create one with data.generate or data.prepare")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != _FORMAT:
                raise InputError("not a ppuu recording; convert raw files with data.prepare")
            version = int(file.attrs["schema_version"])
            if version != SCHEMA_VERSION:
                raise InputError(
                    f"schema version {version}, this program reads {SCHEMA_VERSION}; "
                    "create the file again"
                )
            groups = file["recordings"]
            if not isinstance(groups, h5py.Group):
                raise InputError("'recordings' is not a group; create the file again")
            yield groups
    except InputError as error:
        raise InputError(f"{path}: {where}{str(error).removeprefix(where)}") from None
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {where}truncated or damaged ({error}); create the file again"
        ) from None


def _read(group: h5py.Group, name: str) -> Recording:
    return Recording(
        **{key: group[f"rows/{key}"][()] for key in _ROWS},
        **{key: group[f"vehicles/{key}"][()] for key in _VEHICLES},
        vehicle_pointer=group["vehicles/row_pointer"][()],
        road=Road(
            group["road/lane_pointer"][()],
            group["road/left_m"][()],
            group["road/right_m"][()],
        ),
        dt_s=float(group.attrs["dt_s"]),
        name=name,
        provenance=json.loads(group.attrs["provenance"]),
    )
