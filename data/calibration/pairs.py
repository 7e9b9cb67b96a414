"""Recorded followers and their leaders, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from ppuu.runtime.errors import InputError

from .low_pass import butterworth
from .tables import DT_S, read_columns, runs, stretches

_COLUMNS = (
    "pair_id", "follower_id", "time_s", "follower_x_m", "leader_x_m", "follower_speed_mps",
    "leader_speed_mps", "follower_acceleration_mps2", "leader_length_m",
)  # fmt: skip
_LORRY, _LORRY_LANE = 3, 1
"""Vehicle class of a lorry, and the lane with lorries that follow for long."""
_SHORTEST_LORRY_S = 12.0
_LORRY_PAD = 30
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


def read_pair_columns(path: Path, slot: str) -> dict[str, Float[np.ndarray, " rows"]]:
    """Reconstructed pairs of one slot of I-80, mostly in congested lanes; one after the other.

    Args:
        path: ``i80-pairs.csv.gz``.
        slot: clock time at which the recording began, such as ``0400``.

    Raises:
        InputError: no such slot; see ``read_columns``.
    """
    table = read_columns(path, ("slot", *_COLUMNS))
    own = table["slot"] == int(slot)
    if not own.any():
        raise InputError(f"{path}: no slot {slot}; copy the table again")
    return {name: table[name][own] for name in _COLUMNS}


def read_pairs(path: Path, slot: str) -> Pairs:
    """The pairs of ``read_pair_columns``, padded."""
    table = read_pair_columns(path, slot)
    rear = table["leader_x_m"] - table["leader_length_m"]
    columns = (
        rear - table["follower_x_m"], table["follower_speed_mps"], rear, table["leader_speed_mps"],
    )  # fmt: skip
    rows = runs(table["pair_id"])
    names = [f"{slot}-{table['pair_id'][part.start]:.0f}" for part in rows]
    return padded(names, [[column[part] for part in rows] for column in columns])


def read_lorries(path: Path) -> Pairs:
    """Lorries of I-80's leftmost lane (slot 0400) behind their leaders, filtered as the pairs are.

    Args:
        path: ``i80-lanes.csv.gz``.

    Raises:
        InputError: see ``read_columns``.
    """
    names = ("slot", "lane", "vehicle_id", "time_s", "x_m", "leader_id", "vehicle_class")
    table = read_columns(path, names)
    own = (table["slot"] == 400) & (table["lane"] == _LORRY_LANE)
    table = {key: values[own] for key, values in table.items()}
    position = {}
    for part in stretches(table["time_s"], table["vehicle_id"]):
        if part.stop - part.start > _LORRY_PAD:
            # Not ``low_pass``: the committed drivers of lorries were fitted so.
            smooth = butterworth(table["x_m"][part], DT_S, _LORRY_PAD)
            frames = np.round(table["time_s"][part] / DT_S).astype(int)
            vehicle = int(table["vehicle_id"][part.start])
            position.setdefault(vehicle, {}).update(zip(frames.tolist(), smooth, strict=True))
    found: list[list[np.ndarray]] = [[], [], [], []]
    pair_names = []
    for part in stretches(table["time_s"], table["vehicle_id"], table["leader_id"]):
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
