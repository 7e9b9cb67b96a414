"""Report of the checks and repairs of a raw file: counts, statistics and lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tally:
    """Counters of dropped rows and repairs.

    Attributes:
        dropped: reason → number of rows.
        repaired: repair → number of times.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)

    def drop(self, why: str, rows: int) -> None:
        """Counts dropped rows."""
        if rows:
            self.dropped[why] += int(rows)

    def repair(self, what: str, times: int) -> None:
        """Counts a repair."""
        if times:
            self.repaired[what] += int(times)


@dataclass(frozen=True)
class Report:
    """Rows read, kept, dropped and repaired, with reasons; JSON values only.

    Frame numbers are those of the raw file.

    Attributes:
        rows_read, vehicles_read: of the raw file.
        rows_kept, tracks_kept: of the recording, with interpolated rows.
        dropped: reason → number of rows.
        repaired: repair → number of times.
        on_road_share: fraction of rows whose centre is on a lane.
        overlaps: pairs of boxes that overlap at some frame (``overlapping_pairs``).
        implausible: quantity → rows and tracks beyond the bounds, and the worst row.
        implausible_tracks: tracks with such rows, and their number by quantity.
        statistics: source of the numbers → quantity → quantiles, fraction beyond the bounds and
            histogram (``data.clean.dynamics``). Sources: ``positions_read`` (differences of the
            positions before smoothing), ``positions_written`` (after it, if there was any) and
            ``columns_written`` (the recording's own speed and heading).
        saturated_actions: fraction of inferred actions that reach the largest that an ego can take.
    """

    rows_read: int
    vehicles_read: int
    rows_kept: int
    tracks_kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    repaired: Mapping[str, int] = field(default_factory=dict)
    on_road_share: float = 1.0
    overlaps: list[dict] = field(default_factory=list)
    implausible: Mapping[str, dict] = field(default_factory=dict)
    implausible_tracks: list[dict] = field(default_factory=list)
    statistics: Mapping[str, dict] = field(default_factory=dict)
    saturated_actions: Mapping[str, float] = field(default_factory=dict)

    def table(self) -> str:
        """A short text table."""
        lines = [
            ("read", f"{self.rows_read:,} rows of {self.vehicles_read:,} vehicles"),
            ("kept", f"{self.rows_kept:,} rows in {self.tracks_kept:,} tracks"),
            *(("dropped", f"{count:,} rows: {why}") for why, count in self.dropped.items()),
            *(("repaired", f"{count:,} × {why}") for why, count in self.repaired.items()),
            *(
                ("implausible", f"{found['rows']:,} rows of {found['tracks']:,} tracks: {words}")
                for quantity, found in self.implausible.items()
                for words in [bounds_in_words(quantity, found)]
            ),
            ("on a lane", f"{100 * self.on_road_share:.2f} % of the rows"),
        ]
        pairs = sorted(self.overlaps, key=lambda pair: -pair["depth_m"])
        deepest = ", ".join(
            f"{pair['vehicles'][0]}/{pair['vehicles'][1]} by {pair['depth_m']:.2f} m"
            for pair in pairs[:3]
        )
        if pairs:
            lines.append(("overlapping", f"pairs of boxes: {len(pairs)}; deepest {deepest}"))
        return "\n".join(f"  {name:<12}{text}" for name, text in lines)


UNITS = {
    "speed_mps": "m/s",
    "acceleration_mps2": "m/s²",
    "jerk_mps3": "m/s³",
    "yaw_rate_radps": "rad/s",
    "lateral_acceleration_mps2": "m/s²",
}
"""Quantity → unit."""


def in_words(quantity: str) -> str:
    """``jerk_mps3`` → ``jerk``."""
    return quantity.rpartition("_")[0].replace("_", " ")


def bounds_in_words(quantity: str, found: Mapping) -> str:
    """``jerk beyond -15 … 15 m/s³``."""
    low, high = found["bounds"]
    return f"{in_words(quantity)} beyond {low:g} … {high:g} {UNITS[quantity]}"
