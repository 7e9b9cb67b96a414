"""The lanes of I-80 and US-101, from NGSIM's CAD drawings; for the streets there is none.

Axes: x is NGSIM's Local Y and y is minus Local X, as the reader makes them.  Local Y is the station
along the road and Local X the offset from its left edge, so that lanes are straight there, though
the roads bend.  The drawings (state plane, feet) were registered with rows that have both kinds of
coordinates:

- I-80: three rows of 17:00, up to 290 m apart, have Local Y = station along the centreline of
  lane 1 minus 2126.3 ft, to 0.2 ft, and that centreline at Local X = 6.3 ft, to 0.2 ft.
- US-101: two rows of 7:50 give 58.28 ft and 5.9 ft, to 0.02 ft.

The lane's number is NGSIM's: at I-80 1 to 6, then 7, the on-ramp from Powell Street; at US-101 1 to
5, the auxiliary lane 6, the on-ramp 7 and the off-ramp 8.  All run along x.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ppuu.recordings.road import Road

DrawnSite = Literal["i80", "us101"]
DRAWN: tuple[DrawnSite, ...] = get_args(DrawnSite)
"""Sites whose lanes are known from a drawing."""

_COMMENT_LINES = 4
_FIELDS = [
    ("lane", "i8"),
    ("kind", "U16"),
    ("local_y_m", "f8"),
    ("left_x_m", "f8"),
    ("right_x_m", "f8"),
]


@dataclass(frozen=True, eq=False)
class Lane:
    """One lane of a drawn road.

    Attributes:
        number: NGSIM's ``Lane_ID``.
        kind: main, auxiliary, on-ramp or off-ramp.
        left_m, right_m: boundaries, in driving direction.
    """

    number: int
    kind: str
    left_m: Float[np.ndarray, "points 2"]
    right_m: Float[np.ndarray, "points 2"]


def lanes(site: DrawnSite) -> list[Lane]:
    """The lanes of a site by number, from 60 m before the survey's first edge on."""
    table = np.loadtxt(
        Path(__file__).with_name(f"{site}.csv"),
        dtype=_FIELDS,
        delimiter=",",
        skiprows=_COMMENT_LINES + 1,
        encoding="utf-8",
    )
    found = []
    for number in np.unique(table["lane"]):
        own = table[table["lane"] == number]
        left, right = (
            np.stack([own["local_y_m"], -own[f"{side}_x_m"]], 1) for side in ("left", "right")
        )
        found.append(Lane(int(number), str(own["kind"][0]), left, right))
    return found


def road(site: DrawnSite) -> Road:
    """The road of a site; the road's lane ``k`` is NGSIM's lane ``k + 1``."""
    return Road.from_lanes([(lane.left_m, lane.right_m) for lane in lanes(site)])
