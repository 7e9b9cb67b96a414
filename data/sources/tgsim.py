"""Third Generation Simulation data (TGSIM): aerial and roadside cameras on US roads, 10 Hz.

Written from the published column description; untested on originals.

Source: US-DOT FHWA 2024, data.transportation.gov, "Third Generation Simulation Data (TGSIM)";
Ammourah et al., Transportation Research Record 2025, doi 10.1177/03611981241257257.  Positions are
metres in a reference image: x to its right, y down from its top left corner.  Older files spell
the columns with hyphens and capitals (``ID``, ``xloc-kf``), newer ones ``id``, ``xloc_kf``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks, in_columns
from .base import Source
from .directions import by_direction
from .table import read_named_columns

_RATE_HZ = 10
_LARGEST_NUMBER = 2**53
"""Whole numbers up to here are exact as floats."""
_COLUMNS = {
    "id": "f8",
    "time": "f8",
    "xloc-kf": "f8",
    "yloc-kf": "f8",
    "length-smoothed": "f8",
    "width-smoothed": "f8",
    "run-index": "f8",
    "type-most-common": "f8",
    "speed-kf-x": "f8",
}
_FIELDS = in_columns(
    vehicle="id", frame="time", x_m="xloc-kf", y_m="yloc-kf", length_m="length-smoothed",
    width_m="width-smoothed",
)  # fmt: skip
_OPTIONAL = ("run-index", "type-most-common", "speed-kf-x")
_LAST_UNPROTECTED = 2
"""Foggy Bottom's types: 0 pedestrian, 1 bicycle, 2 scooter, then motor vehicles."""


@dataclass(frozen=True)
class Tgsim(Source):
    """TGSIM trajectories, *.csv: I-90/I-94, I-294 (L1, L2), I-395, Foggy Bottom.

    WRITTEN FROM THE PUBLISHED COLUMN DESCRIPTION; UNTESTED ON ORIGINALS.

    One recording a run (column run-index) and direction of travel, x along it; one for Foggy
    Bottom, x to the right of the image.  y is turned up: in the file it points down.  Positions
    are taken as the centre of the box.  Heading and speed follow from the smoothed positions.
    Pedestrians, cyclists and scooters of Foggy Bottom are left out.
    Public domain; https://data.transportation.gov, search for "TGSIM".
    """

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording a run and direction, in order."""
        hint = "TGSIM has id, time, xloc-kf, yloc-kf, length-smoothed, width-smoothed, ..."
        table = read_named_columns(path, _COLUMNS, hint, _spelling, _OPTIONAL)
        vehicle = _whole(table["id"], path, "id")
        frame = _whole(np.rint(table["time"] * _RATE_HZ), path, "time")
        names = table.dtype.names or ()
        kept = np.ones(len(table), bool)
        # Only Foggy Bottom has walkers, and only it splits the speed into components.
        if "speed-kf-x" in names and "type-most-common" in names:
            kept = table["type-most-common"] > _LAST_UNPROTECTED
        has_runs = "run-index" in names
        run = _whole(table["run-index"], path, "run-index") if has_runs else np.zeros_like(vehicle)
        for number in np.unique(run[kept]):
            own = np.flatnonzero(kept & (run == number))
            walkers = int((~kept[run == number]).sum())
            tracks = RawTracks(
                name=f"{path.stem}-run-{number}" if has_runs else path.stem,
                file=str(path),
                dt_s=1 / _RATE_HZ,
                road=None,
                vehicle=vehicle[own],
                frame=frame[own],
                x_m=table["xloc-kf"][own],
                y_m=-table["yloc-kf"][own],
                length_m=table["length-smoothed"][own],
                width_m=table["width-smoothed"][own],
                line=own + 2,
                fields=_FIELDS,
                left_out={"pedestrians, cyclists and scooters": walkers} if walkers else {},
                provenance={"licence": "public domain, US-DOT FHWA, TGSIM"},
            )
            yield from by_direction(tracks)


def _spelling(name: str) -> str:
    return name.lower().replace("_", "-")


def _whole(values: Float[np.ndarray, " n"], path: Path, column: str) -> Int[np.ndarray, " n"]:
    """The same as integers."""
    bad = np.flatnonzero((values != np.rint(values)) | (np.abs(values) > _LARGEST_NUMBER))
    if len(bad):
        raise InputError(
            f"{path}, line {bad[0] + 2}, column '{column}': {values[bad[0]]:g} is not a whole "
            "number; correct or remove the line"
        )
    return values.astype(np.int64)
