"""Recorded followers and their leaders, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from .tables import read_columns, runs

DT_S = 0.1
CUTOFF_HZ = 0.5
"""The source of the pairs has nothing faster; lorries of the raw lanes are filtered alike."""

_LORRY, _LORRY_LANE = 3, 1
"""Vehicle class of a lorry, and the lane with lorries that follow for long."""
_SHORTEST_LORRY_S = 12.0
_LEADER_LENGTH_M = 4.5
"""Median of the leaders; the raw lanes have no lengths."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Follower-leader pairs, padded to one length.

    Attributes:
        name: of each pair.
        gap_m: ``(pairs, steps)`` bumper to bumper.
        speed_mps: ``(pairs, steps)`` of the follower.
        leader_rear_m: ``(pairs, steps)`` rear bumper of the leader.
        leader_speed_mps: ``(pairs, steps)``.
        count: ``(pairs,)`` rows before the padding, which repeats the last value.
    """

    name: tuple[str, ...]
    gap_m: Float[np.ndarray, "pairs steps"]
    speed_mps: Float[np.ndarray, "pairs steps"]
    leader_rear_m: Float[np.ndarray, "pairs steps"]
    leader_speed_mps: Float[np.ndarray, "pairs steps"]
    count: Int[np.ndarray, " pairs"]

    @property
    def valid(self) -> Bool[np.ndarray, "pairs steps"]:
        """Whether a row is no padding."""
        return np.arange(self.gap_m.shape[1]) < self.count[:, None]

    def part(self, start: float, stop: float) -> Pairs:
        """A part of each pair's time, from one fraction of it to another."""
        first, last = (self.count * start).astype(int), (self.count * stop).astype(int)
        rows = first[:, None] + np.arange((last - first).max())
        rows = np.minimum(rows, last[:, None] - 1)

        def taken(column: np.ndarray) -> np.ndarray:
            return np.take_along_axis(column, rows, axis=1)

        return Pairs(
            self.name,
            gap_m=taken(self.gap_m),
            speed_mps=taken(self.speed_mps),
            leader_rear_m=taken(self.leader_rear_m),
            leader_speed_mps=taken(self.leader_speed_mps),
            count=last - first,
        )


def padded(name: Sequence[str], columns: Sequence[Sequence[Float[np.ndarray, " rows"]]]) -> Pairs:
    """Pairs from their columns ``gap_m``, ``speed_mps``, ``leader_rear_m``, ``leader_speed_mps``.

    Args:
        name: of each pair.
        columns: four lists with one array for each pair.
    """
    count = np.array([len(values) for values in columns[0]])
    gap, speed, rear, leader_speed = (
        np.stack([np.pad(v, (0, count.max() - len(v)), "edge") for v in column])
        for column in columns
    )
    return Pairs(tuple(name), gap, speed, rear, leader_speed, count)


def read_pairs(folder: Path, slot: str) -> Pairs:
    """Reconstructed pairs of one slot of I-80, mostly in congested lanes.

    Args:
        folder: with ``i80-pairs.csv.gz``.
        slot: clock time at which the recording began, such as ``0400``.

    Raises:
        InputError: see ``read_columns``.
    """
    names = ("slot", "pair_id", "follower_x_m", "leader_x_m", "follower_speed_mps")
    table = read_columns(
        folder / "i80-pairs.csv.gz", (*names, "leader_speed_mps", "leader_length_m")
    )
    table = {key: values[table["slot"] == int(slot)] for key, values in table.items()}
    rear = table["leader_x_m"] - table["leader_length_m"]
    columns = (
        rear - table["follower_x_m"], table["follower_speed_mps"], rear, table["leader_speed_mps"],
    )  # fmt: skip
    rows = runs(table["pair_id"])
    names = [f"{slot}-{table['pair_id'][part.start]:.0f}" for part in rows]
    return padded(names, [[column[part] for part in rows] for column in columns])


def read_lorries(folder: Path) -> Pairs:
    """Lorries of I-80's leftmost lane (slot 0400) behind their leaders, filtered at 0.5 Hz.

    Args:
        folder: with ``i80-lanes.csv.gz``.

    Raises:
        InputError: see ``read_columns``.
    """
    from scipy.signal import butter, sosfiltfilt

    names = ("slot", "lane", "vehicle_id", "time_s", "x_m", "leader_id", "vehicle_class")
    table = read_columns(folder / "i80-lanes.csv.gz", names)
    own = (table["slot"] == 400) & (table["lane"] == _LORRY_LANE)
    table = {key: values[own] for key, values in table.items()}
    sections = butter(4, CUTOFF_HZ, fs=1.0 / DT_S, output="sos")
    gap_after = np.cumsum(np.diff(table["time_s"], prepend=0.0) > 1.5 * DT_S)
    position = {}
    for part in runs(table["vehicle_id"], gap_after):
        if part.stop - part.start > 30:
            smooth = sosfiltfilt(sections, table["x_m"][part], padlen=30)
            frames = np.round(table["time_s"][part] / DT_S).astype(int)
            vehicle = int(table["vehicle_id"][part.start])
            position.setdefault(vehicle, {}).update(zip(frames.tolist(), smooth, strict=True))
    found: list[list[np.ndarray]] = [[], [], [], []]
    pair_names = []
    for part in runs(table["vehicle_id"], table["leader_id"], gap_after):
        vehicle, leader = (int(table[key][part.start]) for key in ("vehicle_id", "leader_id"))
        long_enough = (part.stop - part.start) * DT_S >= _SHORTEST_LORRY_S
        if table["vehicle_class"][part.start] != _LORRY or not long_enough:
            continue
        frames = np.round(table["time_s"][part] / DT_S).astype(int).tolist()
        both = [f for f in frames if f in position[vehicle] and f in position.get(leader, {})]
        if len(both) * DT_S < _SHORTEST_LORRY_S:
            continue
        front = np.array([position[vehicle][f] for f in both])
        rear = np.array([position[leader][f] for f in both]) - _LEADER_LENGTH_M
        speed, leader_speed = (np.maximum(np.gradient(x, DT_S), 0.0) for x in (front, rear))
        for column, values in zip(found, (rear - front, speed, rear, leader_speed), strict=True):
            column.append(values)
        pair_names.append(f"0400-lane1-{vehicle}")
    return padded(pair_names, found)
