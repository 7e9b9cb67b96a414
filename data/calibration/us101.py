"""Tracks of NGSIM's US-101 with their lateral positions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from .lateral_track import LateralTrack
from .tables import DT_S, read_columns, stretches

_PIECE_M = 50.0
_LEAST_ROWS = 50


@dataclass(frozen=True, eq=False)
class Us101Track:
    """A vehicle's frames without a gap, at 10 Hz.

    Attributes:
        y_m: ``(frames,)`` left positive.
        lane: ``(frames,)`` as the source counts it, 1 on the left.
        centres_m: ``(frames, lanes)`` y of the centre of every lane at that place.
    """

    y_m: Float[np.ndarray, " frames"]
    lane: Int[np.ndarray, " frames"]
    centres_m: Float[np.ndarray, "frames lanes"]

    def in_lanes(self, lane: Int[np.ndarray, " frames"]) -> LateralTrack:
        """The track with these lanes, 1 on the left."""
        centre_m = np.take_along_axis(self.centres_m, lane[:, None] - 1, axis=1)[:, 0]
        return LateralTrack(self.y_m, centre_m, lane, np.ones(len(lane), bool), DT_S)


def read_us101_tracks(path: Path) -> list[Us101Track]:
    """Vehicles of US-101.

    A lane's centre is the median lateral position of its vehicles every 50 m; where they have too
    few rows, along the whole road.

    Args:
        path: ``us101-tracks.csv.gz``.

    Raises:
        InputError: see ``read_columns``.
    """
    names = ("slot", "vehicle_id", "time_s", "x_m", "y_m", "lane")
    slot, vehicle, time_s, x, y, lane = read_columns(path, names).values()
    lane = lane.astype(int)
    piece = np.clip(x / _PIECE_M, 0, None).astype(int)
    centres = np.empty((piece.max() + 1, lane.max()))
    for number in range(centres.shape[1]):
        own = lane == number + 1
        for k in range(len(centres)):
            at = own & (piece == k)
            centres[k, number] = np.median(y[at if at.sum() > _LEAST_ROWS else own])
    return [
        Us101Track(y[part], lane[part], centres[piece[part]])
        for part in stretches(time_s, slot, vehicle)
    ]
