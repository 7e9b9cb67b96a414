"""How vehicles move across the road: lane changes, and wander within a lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from data.calibration.lateral_track import LateralTrack
from data.calibration.tables import DT_S
from data.calibration.us101 import read_us101_tracks
from ppuu.recordings.recording import Recording

from .road_coordinates import RoadCoordinates, tracks
from .smoothing import long_enough, smooth

CHANGING_MPS = 0.1
"""A change lasts while the lateral speed towards the new lane is above this."""
CLEAR_S = 5.0
SHORTEST_STRETCH_S = 10.0
SHORTEST_TRACK_S = 20.0
"""In shorter tracks most changes cannot be counted, since both stays must be recorded."""

_LANES = 5
"""Of US-101; the sixth is between two ramps only."""


@dataclass(frozen=True, eq=False)
class LaneChanges:
    """The lane changes of some tracks, and how vehicles keep their lanes.

    Attributes:
        duration_s: ``(changes,)``.
        peak_lateral_speed_mps: ``(changes,)``.
        per_vehicle_hour: stable lane changes per hour of observed vehicle time; NaN where less
            than half of that time lies in tracks of 20 s and more.
        wander_m: root mean square of the offset from a lane-keeping stretch's own mean.
        roughness_m: standard deviation of lateral positions about their smooth curve.
    """

    duration_s: Float[np.ndarray, " changes"]
    peak_lateral_speed_mps: Float[np.ndarray, " changes"]
    per_vehicle_hour: float
    wander_m: float
    roughness_m: float

    def medians(self) -> tuple[float, float]:
        """Of the durations (s) and of the peak lateral speeds (m/s); NaN without a change."""
        if not len(self.duration_s):
            return float("nan"), float("nan")
        return float(np.median(self.duration_s)), float(np.median(self.peak_lateral_speed_mps))


def lane_changes(lateral: Sequence[LateralTrack]) -> LaneChanges:
    """Changes between stays of 3 s in the old and in the new lane; a double change counts twice.

    A change lasts as long as the smoothed lateral speed towards the new lane stays above 0.1 m/s
    around the crossing (Savitzky-Golay, order 3, 2.1 s).  Their rate is that in tracks of 20 s and
    more.  Wander and roughness are those of stretches of lane keeping, 10 s and more, in which
    every frame is more than 5 s from any crossing.
    """
    durations, peaks, squares, rests, counted = [], [], [], [], 0
    for track in lateral:
        if not long_enough(len(track.offset_m), track.dt_s):
            continue
        curve, speed = (smooth(track.offset_m, track.dt_s, order) for order in (0, 1))
        changes = track.stable_changes()
        # A double change counts twice.
        for crossing, lanes in (change for change in changes for _ in range(abs(change[1]))):
            towards = np.sign(lanes)
            moving = towards * speed > CHANGING_MPS
            if not moving[crossing]:
                continue
            before = np.flatnonzero(~moving[:crossing])
            after = np.flatnonzero(~moving[crossing:])
            first = before[-1] + 1 if len(before) else 0
            last = crossing + after[0] if len(after) else len(moving)
            durations.append((last - first) * track.dt_s)
            peaks.append((towards * speed[first:last]).max())
            counted += track.duration_s >= SHORTEST_TRACK_S
        for rows in _lane_keeping(track):
            offset = curve[rows] - track.centre_m[rows]
            squares.append((offset - offset.mean()) ** 2)
            rests.append((track.offset_m[rows] - curve[rows]) ** 2)
    times = np.array([track.duration_s for track in lateral])
    observed = times[times >= SHORTEST_TRACK_S].sum()
    rate = 3600.0 * counted / observed if observed > 0.5 * times.sum() else float("nan")
    return LaneChanges(
        np.array(durations), np.array(peaks), float(rate), _root_mean(squares), _root_mean(rests)
    )


def _root_mean(squares: list[np.ndarray]) -> float:
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else float("nan")


def _lane_keeping(track: LateralTrack) -> list[slice]:
    """Stretches of 10 s and more in which every frame is more than 5 s from any crossing."""
    edges = np.flatnonzero(np.diff(track.lane)) + 1
    clear = round(CLEAR_S / track.dt_s)
    bounds = [0, *(edge for crossing in edges for edge in (crossing - clear, crossing + clear))]
    bounds.append(len(track.lane))
    return [
        slice(start, stop)
        for start, stop in zip(bounds[::2], bounds[1::2], strict=True)
        if (stop - start) * track.dt_s >= SHORTEST_STRETCH_S and track.on_road[start:stop].all()
    ]


def lateral_tracks(recording: Recording, place: RoadCoordinates) -> list[LateralTrack]:
    """All vehicles of a recording across its road.

    Lanes are counted by their centre lines: the offset from the nearest one jumps by a lane width
    where a vehicle crosses over.  So it does not matter how lanes are numbered, nor where a lane
    is continued by another one.
    """
    found = []
    for rows in tracks(recording):
        offset, width = place.offset_m[rows], place.width_m[rows]
        lanes = np.cumsum(np.round(np.diff(offset, prepend=offset[0]) / width))
        centre = -np.cumsum(np.diff(lanes, prepend=0.0) * width)
        found.append(
            LateralTrack(
                offset + centre, centre, lanes.astype(int), place.lane[rows] >= 0, recording.dt_s
            )
        )
    return found


def us101_lateral_tracks(path: Path) -> list[LateralTrack]:
    """Vehicles of NGSIM's US-101, from the table ``us101-tracks`` of ``real-lanes``.

    A vehicle's lane is that of the nearest centre to its smoothed position, as in
    ``lateral_tracks``.

    Raises:
        InputError: no such file or column.
    """
    found = []
    for track in read_us101_tracks(path):
        if len(track.y_m) < SHORTEST_TRACK_S / DT_S:
            continue
        distance_m = smooth(track.y_m, DT_S)[:, None] - track.centres_m[:, :_LANES]
        found.append(track.in_lanes(np.abs(distance_m).argmin(1) + 1))
    return found
