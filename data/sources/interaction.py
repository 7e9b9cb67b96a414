"""INTERACTION: merging roads, intersections and roundabouts seen by drones, 10 Hz.

Source: Zhan et al., "INTERACTION Dataset", 2019 (arXiv:1910.03088), and its published format
description; untested on originals, as they are given out on application only.  x, y are metres,
y upwards; psi_rad is counter-clockwise from x.  Files of the prediction challenge hold many short
scenes, identified by ``case_id``; pedestrians and cyclists in them have no heading and no size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ppuu.runtime.errors import InputError

from .. import clean
from ..clean.config import CleanConfig
from ..raw_tracks import RawTracks, in_columns
from .base import Source
from .directions import by_direction, some_rows
from .table import as_number, read_named_columns
from .velocity import speed

DT_S = 0.1
_TEXT = "U24"
"""Numbers that only motor vehicles have are read as text."""
_COLUMNS = {
    "track_id": _TEXT,
    "agent_type": _TEXT,
    "frame_id": "i8",
    "x": "f8",
    "y": "f8",
    "vx": "f8",
    "vy": "f8",
    "psi_rad": _TEXT,
    "length": _TEXT,
    "width": _TEXT,
    "case_id": "f8",
}
_FIELDS = in_columns(
    vehicle="track_id", frame="frame_id", x_m="x", y_m="y", heading_rad="psi_rad", speed_mps="vx",
    length_m="length", width_m="width",
)  # fmt: skip
_VEHICLE = "car"
"""Type of all motor vehicles."""
_OTHERS = ("pedestrian/bicycle", "pedestrian", "bicycle")
_LARGEST_NUMBER = 2.0**53
"""Integers up to here are exact as floats."""


@dataclass(frozen=True)
class Interaction(Source):
    """INTERACTION, vehicle_tracks_NNN.csv, or a prediction file whose scenes have a case_id.

    One recording a scene, called FILE-caseN; where all traffic runs along one road, one more for
    each direction.  On such a road x runs along it; at an intersection or roundabout the file's
    axes stay.  Lanes are derived from the tracks of the whole file.
    Pedestrians and cyclists are left out, and counted.  Headings, speeds and sizes are the
    file's.  To be had on application at interaction-dataset.com, for non-commercial use.
    Untested on originals: written from the published format description.

    Attributes:
        cases: read the first so many scenes only; None for all.
    """

    cases: int | None = None

    def read(self, path: Path) -> Iterator[RawTracks]:
        """The scenes in order, direction by direction."""
        hint = "is it vehicle_tracks_NNN.csv of INTERACTION?"
        table = read_named_columns(path, _COLUMNS, hint, optional=("case_id",))
        scene = np.zeros(len(table), np.int64)
        if "case_id" in (table.dtype.names or ()):
            scene = _whole(path, np.arange(len(table)) + 2, "case_id", table["case_id"])
        if self.cases is not None:
            chosen = np.isin(scene, np.unique(scene)[: self.cases])
            lines, table, scene = np.flatnonzero(chosen) + 2, table[chosen], scene[chosen]
        else:
            lines = np.arange(len(table)) + 2
        unknown = np.flatnonzero(~np.isin(table["agent_type"], (_VEHICLE, *_OTHERS)))
        if len(unknown):
            raise InputError(
                f"{path}, line {lines[unknown[0]]}, column 'agent_type': "
                f"'{table['agent_type'][unknown[0]]}' is not one of "
                f"{', '.join((_VEHICLE, *_OTHERS))}"
            )
        own = np.flatnonzero(table["agent_type"] == _VEHICLE)
        if not len(own):
            raise InputError(f"{path}: no row has the agent_type '{_VEHICLE}'")
        others = np.delete(table["agent_type"], own)
        table, scene, lines = table[own], scene[own], lines[own]
        number = _whole(path, lines, "track_id", _numbers(path, table, lines, "track_id"))
        # Numbers are reused in every scene.
        vehicles, vehicle = np.unique(np.stack([scene, number]), axis=1, return_inverse=True)
        tracks = RawTracks(
            name=path.stem,
            file=str(path),
            dt_s=DT_S,
            road=None,
            vehicle=vehicle.ravel(),
            frame=table["frame_id"],
            x_m=table["x"],
            y_m=table["y"],
            heading_rad=_numbers(path, table, lines, "psi_rad"),
            speed_mps=speed(table["vx"], table["vy"]),
            length_m=_numbers(path, table, lines, "length"),
            width_m=_numbers(path, table, lines, "width"),
            line=lines,
            fields=_FIELDS,
            left_out={f"agent_type {name}": int(np.sum(others == name)) for name in set(others)},
        )
        for one_way in by_direction(tracks):
            yield from _scenes(clean.around_origin(one_way), vehicles)


def _scenes(tracks: RawTracks, vehicles: Int[np.ndarray, "2 vehicles"]) -> Iterator[RawTracks]:
    """One recording for each scene, with the road of all scenes, since a scene is short.

    Args:
        tracks: of all scenes; ``vehicle`` is a column of ``vehicles``.
        vehicles: scene and number.
    """
    scene, number = vehicles[:, tracks.vehicle]
    scenes = np.unique(scene)
    if len(scenes) == 1:
        yield replace(tracks, vehicle=number)
        return
    # Duplicates are handled when each scene is checked.
    road = tracks.road or clean.recording(tracks, CleanConfig(duplicates="keep-first")).road
    for k, one in enumerate(scenes):
        own = scene == one
        yield replace(
            some_rows(replace(tracks, vehicle=number), own),
            name=f"{tracks.name}-case{one}",
            road=road,
            left_out=tracks.left_out if k == 0 else {},
        )


def _numbers(
    path: Path, table: np.ndarray, lines: Int[np.ndarray, " rows"], name: str
) -> Float[np.ndarray, " rows"]:
    """A column of text as numbers.

    Raises:
        InputError: one of them is not a finite number; with line, column and value.
    """
    texts = table[name]
    distinct, index = np.unique(texts, return_inverse=True)  # most are sizes, which repeat
    values = np.array([as_number(text) for text in distinct.tolist()])[index]
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InputError(
            f"{path}, line {lines[bad[0]]}, column '{name}': '{texts[bad[0]]}' is not a number; "
            "correct or remove the line"
        )
    return values


def _whole(
    path: Path, lines: Int[np.ndarray, " rows"], name: str, values: Float[np.ndarray, " rows"]
) -> Int[np.ndarray, " rows"]:
    """Whole numbers that are written as ``1.0`` or ``1``."""
    bad = np.flatnonzero((values != np.rint(values)) | (np.abs(values) > _LARGEST_NUMBER))
    if len(bad):
        raise InputError(
            f"{path}, line {lines[bad[0]]}, column '{name}': {values[bad[0]]:g} is not a whole "
            "number; correct or remove the line"
        )
    return values.astype(np.int64)
