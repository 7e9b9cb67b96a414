"""highD: German motorways seen by a drone, both directions, 25 Hz.

Source: Krajewski et al., "The highD Dataset", ITSC 2018, and its published format description;
untested on originals, as they are given out on application only.  Boxes are axis-parallel: x, y
is the upper-left corner in image axes (y down), ``width`` runs along the road and ``height``
across.  There is no heading; it follows from the motion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError

from ..raw_tracks import RawTracks, in_columns
from ..roads.extent import FARTHEST_M, refuse_stray
from ..roads.frame import LocalFrame
from .base import Source
from .levelx_files import META_HINT, beside, by_track, recording_meta
from .resample import PROJECT_HZ, resampled
from .table import as_number, read_named_columns
from .velocity import speed

_COLUMNS = {"frame": "i8", "id": "i8"} | dict.fromkeys(
    ("x", "y", "width", "height", "xVelocity", "yVelocity"), "f8"
)
_FIELDS = in_columns(
    vehicle="id", frame="frame", x_m="x", y_m="y", length_m="width", width_m="height",
    speed_mps="xVelocity",
)  # fmt: skip
_MARKINGS = {"upperLaneMarkings": "U256", "lowerLaneMarkings": "U256"}
_LEFTWARD, _RIGHTWARD = 1, 2
"""The file's drivingDirection: the upper and the lower lanes of the image."""


@dataclass(frozen=True)
class HighD(Source):
    """highD, NN_tracks.csv: two recordings, one for each direction.

    NN_tracksMeta.csv and NN_recordingMeta.csv must lie beside it.  x runs in driving direction
    and y = 0 is the right edge of the outermost lane; lanes are those of the marking positions
    in the recording's meta file.  Headings follow from the motion, speeds are the file's.  To be
    had on application at levelxdata.com, for non-commercial use.  Untested on originals: written
    from the published format description.

    Attributes:
        frame_rate_hz: frames a second of the recordings, by interpolation from the file's 25.
    """

    frame_rate_hz: float = PROJECT_HZ

    def companions(self, path: Path) -> Sequence[Path]:
        """The two meta files."""
        return [beside(path, kind) for kind in ("tracksMeta", "recordingMeta")]

    def read(self, path: Path) -> Iterator[RawTracks]:
        """First the upper lanes, which lead to the left of the image, then the lower ones."""
        meta_path = beside(path, "recordingMeta")
        meta = recording_meta(meta_path, {"speedLimit": "f8", "locationId": "i8"} | _MARKINGS)
        tracks_path = beside(path, "tracksMeta")
        columns = {"id": "i8", "drivingDirection": "i8"}
        tracks = read_named_columns(tracks_path, columns, META_HINT)
        table = read_named_columns(path, _COLUMNS, "is it NN_tracks.csv of highD?")
        directions = tracks["drivingDirection"]
        direction = by_track(path, tracks_path, "id", table["id"], tracks["id"], directions)
        bad = np.flatnonzero((direction != _LEFTWARD) & (direction != _RIGHTWARD))
        if len(bad):
            meta_row = np.flatnonzero(tracks["id"] == table["id"][bad[0]])[0]
            raise InputError(
                f"{tracks_path}, line {meta_row + 2}, column 'drivingDirection': "
                f"{direction[bad[0]]}; it must be {_LEFTWARD} or {_RIGHTWARD}"
            )
        refuse_stray(
            table["x"],
            table["y"],
            lambda row, axis: (
                f"{path}, line {row + 2}, {_FIELDS[axis]}: vehicle {table['id'][row]}"
            ),
        )
        for side, number in (("upper", _LEFTWARD), ("lower", _RIGHTWARD)):
            markings = _markings(meta_path, f"{side}LaneMarkings", meta[f"{side}LaneMarkings"])
            own = direction == number
            if own.any():
                one_way = _carriageway(path, table, own, side, markings, meta)
                yield resampled(one_way, self.frame_rate_hz)


def _carriageway(
    path: Path,
    table: np.ndarray,
    own: Bool[np.ndarray, " n"],
    side: str,
    markings_m: Float[np.ndarray, " lines"],
    meta: dict[str, Any],
) -> RawTracks:
    """The vehicles of one direction; turned by half a turn for those that drive leftward."""
    rows = table[own]
    rightward = side == "lower"
    # The image's y points down: -y is to the left of x.
    centre = np.stack([rows["x"] + 0.5 * rows["width"], -rows["y"] - 0.5 * rows["height"]], 1)
    frame = LocalFrame(
        float(rows["x"].min() if rightward else (rows["x"] + rows["width"]).max()),
        float(-markings_m.max() if rightward else -markings_m.min()),
        0.0 if rightward else np.pi,
    )
    x_m, y_m = frame.to_local(centre).T
    half_m = 0.5 * rows["width"]
    edges_m = markings_m.max() - markings_m if rightward else markings_m - markings_m.min()
    return RawTracks(
        name=f"highd-{path.name.removesuffix('_tracks.csv')}-{side}",
        file=str(path),
        dt_s=1.0 / meta["frameRate"],
        road=_lanes(edges_m, float((x_m - half_m).min()), float((x_m + half_m).max())),
        vehicle=rows["id"],
        frame=rows["frame"],
        x_m=x_m,
        y_m=y_m,
        length_m=rows["width"],
        width_m=rows["height"],
        speed_mps=speed(rows["xVelocity"], rows["yVelocity"]),
        line=np.flatnonzero(own) + 2,
        fields=_FIELDS,
        provenance={
            "site": f"highd-{meta['locationId']}",
            "speed_limit_mps": meta["speedLimit"] if meta["speedLimit"] > 0 else None,
            "axes": "of the frame: image, metres, y negated",
        },
        local_frame=frame,
    )


def _markings(path: Path, name: str, text: str) -> Float[np.ndarray, " lines"]:
    """``3.2;7.1;11.0`` as numbers."""
    found = np.array([as_number(field) for field in text.split(";") if field.strip()])
    # What is not a number is not less than anything either.
    if len(np.unique(found)) < max(len(found), 2) or not (np.abs(found) < FARTHEST_M).all():
        raise InputError(
            f"{path}, line 2, column '{name}': '{text}' is not a list of two or more "
            "positions with semicolons between them"
        )
    return found


def _lanes(edges_m: Float[np.ndarray, " lines"], first_m: float, last_m: float) -> Road:
    """Straight lanes along x between lines at ``edges_m``, the leftmost first."""
    lines = [np.array([[first_m, y], [last_m, y]]) for y in sorted(edges_m, reverse=True)]
    return Road.from_lanes(list(zip(lines[:-1], lines[1:], strict=True)))
