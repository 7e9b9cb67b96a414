"""Recordings around an origin: coordinates small enough for float32.

Models and simulators compute in float32, which holds positions of 2 km to 0.1 mm but those of a UTM
northing to 0.5 m: at ten frames a second half a metre is an acceleration of 50 m/s².
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ppuu.recordings.road import Road

from ..raw_tracks import RawTracks

FAR_M = 2000.0
_GRID_M = 1000.0
"""Origins are whole kilometres: easy to add back, and the same for all files of a short road."""


def around_origin(rows: RawTracks) -> RawTracks:
    """Moves tracks that lie far from their axes' zero, and their road, to an origin among them.

    Along either axis, the origin is the whole kilometre nearest to the median, unless that lies
    within ``FAR_M`` of zero: a zero that means something (the first edge of a survey, the edge of
    the carriageway), and that all files of a site share, stays.

    Args:
        rows: checked (``check_values``).

    Returns:
        The same tracks; ``local_frame`` leads back.
    """
    origin_m = np.array([_origin_m(rows.x_m), _origin_m(rows.y_m)])
    if not origin_m.any():
        return rows
    road = rows.road
    if road is not None:
        road = Road(road.lane_pointer, road.left_m - origin_m, road.right_m - origin_m)
    return replace(
        rows,
        x_m=rows.x_m - origin_m[0],
        y_m=rows.y_m - origin_m[1],
        road=road,
        local_frame=rows.local_frame.moved(*origin_m.tolist()),
    )


def _origin_m(values: np.ndarray) -> float:
    middle_m = float(np.median(values))
    return _GRID_M * round(middle_m / _GRID_M) if abs(middle_m) > FAR_M else 0.0
