"""exiD, inD and rounD: German ramps, intersections and roundabouts seen by a drone, 25 Hz.

Source: Moers et al., "The exiD Dataset", IV 2022; Bock et al., "The inD Dataset", IV 2020;
Krajewski et al., "The rounD Dataset", ITSC 2020, and their published format description; untested
on originals, as they are given out on application only.  xCenter, yCenter are metres, y upwards;
``heading`` is in degrees counter-clockwise from x; pedestrians and cyclists have no size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..raw_tracks import RawTracks, in_columns
from .base import Source
from .directions import by_direction
from .levelx_files import META_HINT, beside, by_track, recording_meta
from .resample import PROJECT_HZ, resampled
from .table import read_named_columns
from .velocity import speed

_COLUMNS = {"trackId": "i8", "frame": "i8"} | dict.fromkeys(
    ("xCenter", "yCenter", "heading", "width", "length", "xVelocity", "yVelocity"), "f8"
)
_FIELDS = in_columns(
    vehicle="trackId", frame="frame", x_m="xCenter", y_m="yCenter", heading_rad="heading",
    speed_mps="xVelocity", length_m="length", width_m="width",
)  # fmt: skip
_META = {"locationId": "i8", "xUtmOrigin": "f8", "yUtmOrigin": "f8"}
_NOT_MOTORISED = ("pedestrian", "bicycle", "animal")


@dataclass(frozen=True)
class LevelX(Source):
    """exiD, inD and rounD, NN_tracks.csv; a road with two directions gives two recordings.

    NN_tracksMeta.csv and NN_recordingMeta.csv must lie beside it.  Where all traffic runs along
    one road, x runs along it; at an intersection or roundabout the file's axes stay.  Lanes are
    derived from the tracks.  Pedestrians, cyclists and whatever
    has no size are left out, and counted.  Headings, speeds and sizes are the file's.  To be had
    on application at levelxdata.com, for non-commercial use.  Untested on originals: written from
    the published format descriptions.

    Attributes:
        frame_rate_hz: frames a second of the recordings, by interpolation from the file's 25.
    """

    frame_rate_hz: float = PROJECT_HZ

    def companions(self, path: Path) -> Sequence[Path]:
        """The two meta files."""
        return [beside(path, kind) for kind in ("tracksMeta", "recordingMeta")]

    def read(self, path: Path) -> Iterator[RawTracks]:
        """One recording, or one a direction."""
        meta = recording_meta(beside(path, "recordingMeta"), _META)
        tracks_path = beside(path, "tracksMeta")
        columns = {"trackId": "i8", "class": "U24"}
        tracks = read_named_columns(tracks_path, columns, META_HINT)
        table = read_named_columns(path, _COLUMNS, "is it NN_tracks.csv of exiD, inD or rounD?")
        kind = by_track(
            path, tracks_path, "trackId", table["trackId"], tracks["trackId"], tracks["class"]
        )
        sizeless = (table["length"] == 0) & (table["width"] == 0)
        kept = ~np.isin(kind, _NOT_MOTORISED) & ~sizeless
        rows = table[kept]
        found = RawTracks(
            name=f"location{meta['locationId']}-{path.name.removesuffix('_tracks.csv')}",
            file=str(path),
            dt_s=1.0 / meta["frameRate"],
            road=None,
            vehicle=rows["trackId"],
            frame=rows["frame"],
            x_m=rows["xCenter"],
            y_m=rows["yCenter"],
            heading_rad=np.radians(rows["heading"]),
            speed_mps=speed(rows["xVelocity"], rows["yVelocity"]),
            length_m=rows["length"],
            width_m=rows["width"],
            line=np.flatnonzero(kept) + 2,
            fields=_FIELDS,
            left_out=dict(Counter(f"{name}, not a vehicle with a size" for name in kind[~kept])),
            provenance={
                "site": f"levelx-{meta['locationId']}",
                "utm_origin_m": [meta["xUtmOrigin"], meta["yUtmOrigin"]],
            },
        )
        for one_way in by_direction(found):
            yield resampled(one_way, self.frame_rate_hz)
