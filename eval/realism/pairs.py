"""Followers and their leaders, cut and filtered as the reconstructed pairs of NGSIM's I-80 are.

Those pairs hold no motion above 0.5 Hz, last 30 s and more, never overlap and are mostly closer
than 50 m; so are the pairs that are cut from a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from data.calibration.low_pass import low_pass
from data.calibration.pairs import read_pair_columns
from ppuu.recordings.recording import Recording
from ppuu.runtime.errors import InputError

from .road_coordinates import RoadCoordinates, tracks

SHORTEST_S = 30.0
CLOSER_THAN_M = 50.0
MOVING_MPS = 1.0
"""Below it, time headways are not defined."""

_LEAST_STD_MPS = 0.2
"""A leader that varies its speed by less disturbs no vehicle."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """One row for every moment of one vehicle behind another, pairs one after the other.

    Positions are those of front bumpers.

    Attributes:
        pair: ``(rows,)`` number of the pair, not decreasing.
        follower: ``(rows,)`` number of the following vehicle; a vehicle may follow several.
        recording: ``(rows,)`` number of the recording: clocks and places of different recordings
            are not related.
        time_s: ``(rows,)`` since the start of the recording.
        x_m, leader_x_m: ``(rows,)`` along the road.
        speed_mps, leader_speed_mps, acceleration_mps2: ``(rows,)``.
        leader_length_m: ``(rows,)``.
    """

    pair: Int[np.ndarray, " rows"]
    follower: Int[np.ndarray, " rows"]
    recording: Int[np.ndarray, " rows"]
    time_s: Float[np.ndarray, " rows"]
    x_m: Float[np.ndarray, " rows"]
    leader_x_m: Float[np.ndarray, " rows"]
    speed_mps: Float[np.ndarray, " rows"]
    leader_speed_mps: Float[np.ndarray, " rows"]
    acceleration_mps2: Float[np.ndarray, " rows"]
    leader_length_m: Float[np.ndarray, " rows"]

    @property
    def gap_m(self) -> Float[np.ndarray, " rows"]:
        """Bumper to bumper."""
        return self.leader_x_m - self.leader_length_m - self.x_m

    @property
    def count(self) -> int:
        """Number of pairs."""
        return len(self._stretches())

    def features(self) -> dict[str, Float[np.ndarray, " samples"]]:
        """The quantities that are compared, by name; headways of moving followers only."""
        moving = self.speed_mps > MOVING_MPS
        headway = self.leader_x_m[moving] - self.x_m[moving]
        return {
            "speed_mps": self.speed_mps,
            "gap_m": self.gap_m,
            "headway_s": headway / self.speed_mps[moving],
            "acceleration_mps2": self.acceleration_mps2,
            "relative_speed_mps": self.leader_speed_mps - self.speed_mps,
        }

    def platoon_growth(self) -> float:
        """Median over pairs of the follower's over the leader's standard deviation of speed.

        Above 1, disturbances grow from vehicle to vehicle upstream.  NaN where no leader varies its
        speed.
        """
        ratios = [
            self.speed_mps[rows].std() / std
            for rows in self._stretches()
            if (std := self.leader_speed_mps[rows].std()) > _LEAST_STD_MPS
        ]
        return float(np.median(ratios)) if ratios else float("nan")

    def at_constant_speed(self) -> Pairs:
        """The same pairs if every vehicle kept its mean speed."""
        columns = {name: np.empty(len(self.x_m)) for name in ("x_m", "leader_x_m")}
        columns |= {name: np.empty(len(self.x_m)) for name in ("speed_mps", "leader_speed_mps")}
        for rows in self._stretches():
            since = self.time_s[rows] - self.time_s[rows.start]
            for one, speed in (("x_m", "speed_mps"), ("leader_x_m", "leader_speed_mps")):
                mean = getattr(self, speed)[rows].mean()
                columns[one][rows] = getattr(self, one)[rows.start] + mean * since
                columns[speed][rows] = mean
        return replace(self, **columns, acceleration_mps2=np.zeros(len(self.x_m)))

    def _stretches(self) -> list[slice]:
        starts = np.flatnonzero(np.diff(self.pair, prepend=-1))
        stops = np.append(starts[1:], len(self.pair))
        return [slice(a, b) for a, b in zip(starts, stops, strict=True)]


def pairs_of(recordings: Sequence[tuple[Recording, RoadCoordinates]]) -> Pairs | None:
    """All pairs of several recordings; None where no vehicle follows another for long enough.

    Pairs in the car-pool lane are left out where the provenance names one (``carpool_lane``, from
    the left): the real pairs lie in the other lanes.

    Raises:
        InputError: the provenance names it by something else.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    vehicles = 0
    for number, (recording, place) in enumerate(recordings):
        for vehicle, *columns in _pairs(recording, place):
            count = len(vehicle)
            parts.append((
                np.full(count, len(parts)), vehicles + vehicle, np.full(count, number), *columns
            ))  # fmt: skip
        vehicles += recording.vehicles
    return (
        Pairs(*(np.concatenate(column) for column in zip(*parts, strict=True))) if parts else None
    )


def carpool_lane(recording: Recording) -> int | None:
    """Index, from the left, of the car-pool lane that the provenance names.

    Raises:
        InputError: the provenance holds something else.
    """
    lane = recording.provenance.get("carpool_lane")
    if lane is None or (isinstance(lane, int) and not isinstance(lane, bool)):
        return lane
    raise InputError(
        f"recording '{recording.name}': carpool_lane in its provenance is {lane!r}; it must be the "
        "lane's index from the left, or null"
    )


def _pairs(recording: Recording, place: RoadCoordinates) -> list[tuple[np.ndarray, ...]]:
    """The columns of ``Pairs`` without pair and recording, pair by pair."""
    dt_s, vehicle = recording.dt_s, recording.row_vehicle
    behind, ahead = place.consecutive(recording)
    counts = place.lane[behind] != carpool_lane(recording)
    behind, ahead = behind[counts], ahead[counts]
    leader_row = np.full(recording.rows, -1)
    leader_row[behind] = ahead
    leader = np.where(leader_row >= 0, vehicle[leader_row], -1)
    travelled = np.concatenate(
        [low_pass(place.travelled_m[rows], dt_s) for rows in tracks(recording)]
    )
    cut = (np.diff(vehicle) != 0) | (np.diff(leader) != 0) | (np.diff(place.lane) != 0)
    starts = np.concatenate([[0], np.flatnonzero(cut) + 1])
    stops = np.append(starts[1:], recording.rows)
    long = (leader[starts] >= 0) & (stops - starts >= round(SHORTEST_S / dt_s))
    found = []
    for start, stop in zip(starts[long], stops[long], strict=True):
        rows, count = slice(start, stop), stop - start
        ahead, length = leader_row[rows], float(recording.length_m[leader[start]])
        own_length = float(recording.length_m[vehicle[start]])
        centres = low_pass(place.lane_station_m[ahead] - place.lane_station_m[rows], dt_s)
        fronts = centres + 0.5 * (length - own_length)
        gap = fronts - length
        if gap.min() <= 0.0 or np.median(gap) > CLOSER_THAN_M:
            continue
        x = place.station_m[rows] + 0.5 * own_length
        speed, leader_speed = (np.gradient(d, dt_s) for d in (travelled[rows], travelled[ahead]))
        found.append((
            np.full(count, vehicle[start]), recording.frame[rows] * dt_s, x, x + fronts,
            np.maximum(speed, 0.0), np.maximum(leader_speed, 0.0),
            np.gradient(speed, dt_s), np.full(count, length),
        ))  # fmt: skip
    return found


def read_pairs(path: Path, slot: str) -> Pairs:
    """Reconstructed pairs of one slot of NGSIM's I-80, from the table of ``real-lanes``.

    Args:
        path: ``i80-pairs.csv.gz``.
        slot: clock time at which the recording began, such as ``0400``.

    Raises:
        InputError: no such file, column or slot.
    """
    pair, follower, time_s, *columns = read_pair_columns(path, slot).values()
    return Pairs(pair.astype(int), follower.astype(int), np.zeros(len(pair), int), time_s, *columns)
