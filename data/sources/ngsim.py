"""NGSIM text files: I-80 and US-101 (18 columns), Lankershim and Peachtree (24), no header.

Source: US-DOT, Next Generation Simulation vehicle trajectories; feet, 10 Hz, Local Y along the
road and measured at the middle of the front bumper, Local X to the right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ppuu.errors import InputError
from ppuu.road import Road
from ppuu.units import feet_to_metres

from ..raw import RawTracks
from ..roads.from_tracks import straight_lanes
from .base import Source
from .table import read_columns

DT_S = 0.1

_COLUMNS = {
    "vehicle": (0, "i8"),
    "frame": (1, "i8"),
    "local_x_ft": (4, "f8"),
    "local_y_ft": (5, "f8"),
    "length_ft": (8, "f8"),
    "width_ft": (9, "f8"),
    "velocity_ftps": (11, "f8"),
    "lane": (13, "i8"),
}
_HIGHWAY_WIDTH, _STREET_WIDTH = 18, 24
_DIRECTION = (18, "i8")
"""Streets only: 1 east, 2 north (along Local Y), 3 west, 4 south."""
_NORTH, _SOUTH = 2, 4
_LARGEST_THROUGH_LANE = 8
"""At the streets, larger numbers are turn lanes."""


@dataclass(frozen=True)
class Ngsim(Source):
    """The text files of I-80 and US-101 (18 columns) and of the streets (24 columns), feet.

    One period a file.

    x is Local Y and y is minus Local X, so that y = 0 is the left edge of the survey and all
    periods of a site share their axes.  The box's centre is towed by the front bumper, which
    gives the heading (``data.motion.towed_heading``).  Speed comes from the smoothed
    displacement, not from the Velocity column: that one was smoothed apart from the positions and
    does not integrate to them, which an ego that is moved by its recorded actions would feel.
    The column is checked all the same.

    Roads: straight lanes through the median position of each lane number.  At the streets only
    the through lanes of the surveyed street are known.
    """

    version: ClassVar[int] = 1

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a file."""
        delimiter, width = _layout(path)
        columns = _COLUMNS | ({"direction": _DIRECTION} if width == _STREET_WIDTH else {})
        table = read_columns(path, columns, width, delimiter)
        x_m, y_m = feet_to_metres(table["local_y_ft"]), -feet_to_metres(table["local_x_ft"])
        if width == _HIGHWAY_WIDTH:
            lanes = straight_lanes(x_m, y_m, table["lane"])
        else:
            lanes = _street_lanes(x_m, y_m, table["lane"], table["direction"])
        yield RawTracks(
            name=path.stem,
            file=str(path),
            dt_s=DT_S,
            road=Road.from_lanes(lanes),
            vehicle=table["vehicle"],
            frame=table["frame"],
            x_m=x_m,
            y_m=y_m,
            length_m=feet_to_metres(table["length_ft"]),
            width_m=feet_to_metres(table["width_ft"]),
            line=np.arange(len(table)) + 1,
            at_front=True,
            recorded_speed_mps=feet_to_metres(table["velocity_ftps"]),
            provenance={"columns": width, "axes": "x = Local Y, y = -Local X, metres"},
        )


def _street_lanes(
    x_m: np.ndarray, y_m: np.ndarray, lane: np.ndarray, direction: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Through lanes of both directions, each in its driving direction."""
    through = (lane >= 1) & (lane <= _LARGEST_THROUGH_LANE)
    lanes = []
    for bound, sign in ((_NORTH, 1.0), (_SOUTH, -1.0)):
        own = through & (direction == bound)
        if own.any():
            found = straight_lanes(sign * x_m[own], sign * y_m[own], lane[own])
            lanes += [(sign * left, sign * right) for left, right in found]
    return lanes


def _layout(path: Path) -> tuple[str | None, int]:
    """Delimiter and number of columns, from the first line."""
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    delimiter = "," if "," in line else None
    fields = line.split(delimiter)
    if line.lower().startswith("vehicle"):
        raise InputError(
            f"{path}, line 1: a header; the open-data portal's CSV mixes sites and periods: cut "
            f"out one of them, its first {_HIGHWAY_WIDTH} columns in the order of the text files"
        )
    if len(fields) not in (_HIGHWAY_WIDTH, _STREET_WIDTH):
        missing = [name for name, (place, _) in _COLUMNS.items() if place >= len(fields)]
        lacks = f"; missing: {', '.join(missing)}" if missing else ""
        raise InputError(
            f"{path}, line 1: {len(fields)} columns; NGSIM has {_HIGHWAY_WIDTH} (highways) or "
            f"{_STREET_WIDTH} (streets){lacks}"
        )
    return delimiter, len(fields)
