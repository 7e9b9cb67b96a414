"""I-24 MOTION: 276 cameras over 7 km of motorway near Nashville; INCEPTION documents in JSON.

Written from the published column description; untested on originals.

Source: Gloudemans et al., "I-24 MOTION: an instrument for freeway traffic science",
arXiv 2301.11198; https://i24motion.org/data.  A document is one trajectory at 25 Hz, in feet:
``x_position`` of the middle of the rear, along the road and growing to the east (with the mile
markers); ``y_position`` across it, 0 at the left edge of the leftmost lane.  A file is one JSON
array, larger than memory, or one document a line.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from ppuu.runtime.errors import InputError
from ppuu.units import feet_to_metres

from ..raw_tracks import RawTracks, in_columns
from .base import Source

_RATE_HZ = 10
_LONGEST_GAP_S = 0.6
"""Longer gaps in a document's timestamps are not interpolated."""
_CHUNK = 1 << 20
_LARGEST_DOCUMENT = 1 << 28
"""Characters; an hour of one vehicle at 25 Hz is 6 million."""
_LONGEST_STRING = 4096
_LONGEST_TRAJECTORY_S = 6 * 3600.0
_DIRECTIONS = {1: "east", -1: "west"}
_FIELDS = in_columns(
    frame="timestamp", x_m="x_position", y_m="y_position", length_m="length", width_m="width"
)
_ROW = np.dtype(
    {
        "names": ["vehicle", "line", "frame", "x_m", "y_m", "length_m", "width_m"],
        "formats": ["i8", "i8", "i8", "f8", "f8", "f8", "f8"],
    }
)


@dataclass(frozen=True)
class I24Motion(Source):
    """I-24 MOTION, INCEPTION v1: *.json (one array, or one document a line).

    WRITTEN FROM THE PUBLISHED COLUMN DESCRIPTION; UNTESTED ON ORIGINALS.

    Recordings are cut by direction and time.  x runs in driving direction (minus the file's to
    the west), y to the left of the left edge of the carriageway, metres; 25 Hz become 10 Hz by
    interpolation.  Heading and speed follow from the motion.  Vehicles are numbered in the order
    of the file.  Memory holds one period, not the file.
    To be had on request from https://i24motion.org/data.

    Attributes:
        minutes: length of a recording, as the NGSIM periods; a vehicle on the road at its end
            appears in the next one as well.
    """

    minutes: float = 15.0

    def __post_init__(self):
        if not self.minutes > 0:
            raise InputError(f"--minutes {self.minutes:g}: give a positive number")

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a direction and period, in time."""
        frames = max(1, round(self.minutes * 60 * _RATE_HZ))
        with tempfile.TemporaryDirectory(prefix="ppuu-i24-") as folder:
            numbers = _spill(path, frames, Path(folder))
            if not numbers:
                raise InputError(f"{path}: it holds no trajectory")
            first = min(period for period, _ in numbers)
            for period, direction in sorted(numbers, key=lambda key: (key[0], -key[1])):
                rows = np.fromfile(_part(Path(folder), period, direction), _ROW)
                yield _tracks(path, rows, direction, period - first + 1, period * frames)


def documents(path: Path) -> Iterator[tuple[int, int, dict]]:
    """The objects of a JSON array, or of a file with one object a line, one at a time.

    Yields:
        Line and column at which one begins, from 1, and the object.

    Raises:
        InputError: not JSON, or something else than objects; with line and column.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            yield from _Documents(path, file)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


class _Documents:
    """Iterator over the documents of an open file; holds one chunk and one document at most."""

    def __init__(self, path: Path, file: TextIO):
        self._path, self._file = path, file
        self._text, self._at = "", 0
        self._line, self._column = 1, 1
        self._decode = json.JSONDecoder().raw_decode

    def __iter__(self) -> Iterator[tuple[int, int, dict]]:
        is_array = self._next_character() == "["
        if is_array:
            self._skip(1)
        count = 0
        while True:
            character = self._next_character()
            if character == "" or (is_array and character == "]"):
                break
            if is_array and count:
                if character != ",":
                    raise self._error("a comma or the closing bracket is missing")
                self._skip(1)
                character = self._next_character()
            if character != "{":
                raise self._error("a trajectory document must stand here: {...}")
            yield self._line, self._column, self._document()
            count += 1
        if is_array:
            if character != "]":
                raise self._error("the array is not closed; the file is cut off")
            self._skip(1)
            if self._next_character():
                raise self._error("something follows the closing bracket")

    def _document(self) -> dict:
        need = 0
        while True:
            # A failed attempt costs the whole text so far: try again only when it has doubled.
            if len(self._text) - self._at >= need or not self._more():
                try:
                    found, end = self._decode(self._text, self._at)
                    break
                except (ValueError, RecursionError) as error:
                    have = len(self._text) - self._at
                    # Text that is merely cut off fails near its end.
                    cut_off = len(self._text) - getattr(error, "pos", 0) < _LONGEST_STRING
                    if have > _LARGEST_DOCUMENT or not cut_off or not self._more():
                        raise self._fault(error) from None
                    need = 2 * have
        self._skip(end - self._at)
        return found

    def _next_character(self) -> str:
        """The first that is no white space; empty at the end of the file."""
        while True:
            rest = self._text[self._at : self._at + 64]
            blank = len(rest) - len(rest.lstrip())
            self._skip(blank)
            if blank < len(rest):
                return rest[blank]
            if self._at >= len(self._text) and not self._more():
                return ""

    def _more(self) -> bool:
        chunk = self._file.read(_CHUNK)
        if chunk:
            self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)

    def _skip(self, count: int) -> None:
        """Moves on; counts lines and columns."""
        passed = self._text[self._at : self._at + count]
        lines = passed.count("\n")
        if lines:
            self._line += lines
            self._column = len(passed) - passed.rfind("\n")
        else:
            self._column += len(passed)
        self._at += len(passed)

    def _fault(self, error: Exception) -> InputError:
        if isinstance(error, json.JSONDecodeError):
            self._skip(error.pos - self._at)
            return self._error(f"not JSON ({error.msg})")
        deep = isinstance(error, RecursionError)
        return self._error("nested too deeply" if deep else "a number has too many digits")

    def _error(self, what: str) -> InputError:
        return InputError(
            f"{self._path}, line {self._line}, column {self._column}: {what}; fetch it again"
        )


def _spill(path: Path, frames: int, folder: Path) -> set[tuple[int, int]]:
    """Writes the rows to one file for each period and direction; returns these."""
    found = set()
    for number, (line, column, document) in enumerate(documents(path), start=1):
        place = f"{path}, line {line}, column {column}: trajectory {number}"
        direction, rows = _rows(document, place)
        rows["vehicle"], rows["line"] = number, line
        period = rows["frame"] // frames
        for value in np.unique(period).tolist():
            found.add((value, direction))
            with _part(folder, value, direction).open("ab") as file:
                rows[period == value].tofile(file)
    return found


def _part(folder: Path, period: int, direction: int) -> Path:
    return folder / f"{period}_{_DIRECTIONS[direction]}"


def _rows(document: dict, place: str) -> tuple[int, np.ndarray]:
    """Direction and ``(frames,)`` rows of one trajectory, at 10 Hz, x in driving direction."""
    direction = document.get("direction")
    if direction not in (1, -1):
        raise InputError(f"{place}: direction is {direction!r}; it must be 1 (east) or -1 (west)")
    time_s, x_ft, y_ft = (
        _numbers(document.get(key), key, place) for key in ("timestamp", "x_position", "y_position")
    )
    if not len(time_s) == len(x_ft) == len(y_ft):
        raise InputError(
            f"{place}: timestamp, x_position and y_position differ in length "
            f"({len(time_s)}, {len(x_ft)}, {len(y_ft)})"
        )
    if (np.diff(time_s) <= 0).any():
        raise InputError(f"{place}: its timestamps do not increase")
    if len(time_s) and (abs(time_s[0]) > 1e11 or time_s[-1] - time_s[0] > _LONGEST_TRAJECTORY_S):
        raise InputError(
            f"{place}: timestamps from {time_s[0]:g} to {time_s[-1]:g}; they must be seconds, and "
            f"at most {_LONGEST_TRAJECTORY_S:.0f} s long"
        )
    length_ft, width_ft = (
        float(_numbers([document.get(key)], key, place)[0]) for key in ("length", "width")
    )
    frame = np.zeros(0, np.int64)
    if len(time_s):
        frame = np.arange(
            math.ceil(time_s[0] * _RATE_HZ - 1e-3), math.floor(time_s[-1] * _RATE_HZ + 1e-3) + 1
        )
    after = np.searchsorted(time_s, frame / _RATE_HZ).clip(1, max(1, len(time_s) - 1))
    if len(time_s) > 1:
        frame = frame[(time_s[after] - time_s[after - 1]) <= _LONGEST_GAP_S]
    rows = np.zeros(len(frame), _ROW)
    rows["frame"] = frame
    if len(frame):
        at_s = frame / _RATE_HZ
        centre_ft = direction * np.interp(at_s, time_s, x_ft) + 0.5 * length_ft
        rows["x_m"] = feet_to_metres(centre_ft)
        rows["y_m"] = feet_to_metres(np.interp(at_s, time_s, y_ft))
    rows["length_m"], rows["width_m"] = feet_to_metres(length_ft), feet_to_metres(width_ft)
    return int(direction), rows


def _numbers(values: object, key: str, place: str) -> np.ndarray:
    """``(n,)`` finite numbers of a document's field."""
    if values is None or values == [None]:
        raise InputError(f"{place}: '{key}' is missing")
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError, OverflowError):
        found = np.array(np.nan)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"{place}: '{key}' holds something that is not a number")
    return found


def _tracks(
    path: Path, rows: np.ndarray, direction: int, period: int, first_frame: int
) -> RawTracks:
    # Either convention of the sign of y: away from the median strip is to the right.
    y_m = -rows["y_m"] if np.median(rows["y_m"]) > 0 else rows["y_m"]
    return RawTracks(
        name=f"{path.stem}-{_DIRECTIONS[direction]}-{period}",
        file=str(path),
        dt_s=1 / _RATE_HZ,
        road=None,
        vehicle=rows["vehicle"],
        frame=rows["frame"] - first_frame,
        x_m=rows["x_m"],
        y_m=y_m,
        length_m=rows["length_m"],
        width_m=rows["width_m"],
        line=rows["line"],
        fields=_FIELDS,
        provenance={
            "start_unix_s": first_frame / _RATE_HZ,
            "direction": _DIRECTIONS[direction],
            "axes": "x = direction * x_position, from the rear to the centre; y away from the "
            "left edge of the carriageway is negative; metres",
        },
    )
