"""The table: real traffic first, then what is compared with it."""

from __future__ import annotations

from collections.abc import Sequence

from ..reports.tables import Column, text_table
from ..statistics.metric import Row
from .real import RealTraffic
from .score import realism, wasserstein
from .summary import METRICS, TrafficSummary

_DISTANCES = (
    Column("name", "Wasserstein distances"),
    Column("realism", digits=3),
    Column("wasserstein_speed_mps", "speed, m/s", digits=2),
    Column("wasserstein_gap_m", "gap, m", digits=2),
    Column("wasserstein_headway_s", "headway, s", digits=2),
    Column("wasserstein_acceleration_mps2", "acceleration, m/s²", digits=3),
    Column("wasserstein_relative_speed_mps", "relative speed, m/s", digits=3),
    Column("pairs", digits=0),
)
_FIGURES = (
    Column("name", "figures"),
    Column("wave_speed_mps", "waves, m/s", digits=2),
    Column("wave_correlation", "their correlation", digits=2),
    Column("platoon_growth", "growth", digits=3),
    Column("lane_changes_per_vehicle_hour", "lane changes / vehicle-hour", digits=1),
    Column("lane_change_duration_s", "duration, s", digits=2),
    Column("lane_change_lateral_speed_mps", "lateral speed, m/s", digits=2),
    Column("wander_m", "wander, m", digits=3),
    Column("lateral_roughness_m", "lateral roughness, m", digits=4),
    Column("roughness_m", "roughness, m", digits=4),
    Column("fast_speed_fraction", "fast speed, %", scale=100.0, digits=2),
)


def rows_of(traffics: Sequence[TrafficSummary], real: RealTraffic, slot: str) -> list[Row]:
    """A row for the reference, the ceiling, US-101 and the floor, and one for each traffic.

    Args:
        traffics: to compare.
        real: what with.
        slot: distances are measured from it.
    """
    reference = real.slots[slot]
    others = [other for name, other in real.slots.items() if name != slot]
    shown = [reference, *others, real.us101, real.constant_speed[slot], *traffics]
    return [_row(one, reference) for one in shown]


def _row(traffic: TrafficSummary, reference: TrafficSummary) -> Row:
    distances = wasserstein(traffic.quantiles, reference.quantiles)
    return {
        "name": traffic.name,
        "realism": realism(traffic.quantiles, reference.quantiles),
        **{f"wasserstein_{name}": value for name, value in distances.items()},
        **{name: traffic.metrics[name] for name in METRICS},
        "pairs": traffic.pairs,
        "vehicle_hours": traffic.vehicle_hours,
        "notes": "; ".join(traffic.notes),
    }


def text(rows: Sequence[Row]) -> str:
    """Two tables for a terminal, and the notes."""
    notes = [f"{row['name']}: {row['notes']}" for row in rows if row["notes"]]
    return "\n\n".join([text_table(rows, _DISTANCES), text_table(rows, _FIGURES), *notes])
