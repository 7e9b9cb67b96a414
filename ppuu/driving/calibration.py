"""What ``data.fit_drivers`` has fitted to recorded drivers beside their car-following."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

DRIVERS_CSV = Path(__file__).with_name("drivers_i80.csv")
"""One fitted driver a row; the summary that this module reads stands beside it, as .json."""


class HeadwayVariation(NamedTuple):
    """How a driver's time headway varies about its own mean: an Ornstein-Uhlenbeck process.

    Attributes:
        log_std: standard deviation of its logarithm.
        memory_s: correlation time.
    """

    log_std: float
    memory_s: float


class LaneChangeFit(NamedTuple):
    """Minimum-jerk paths (quintic polynomials) fitted to recorded lane changes.

    Attributes:
        count: fits below 0.3 m.
        duration_s: median.
        duration_log_std: of the logarithm of the duration.
        rmse_m: median over changes.
        straight_rmse_m: the same for a path of constant lateral speed, for comparison.
    """

    count: int
    duration_s: float
    duration_log_std: float
    rmse_m: float
    straight_rmse_m: float


class LaneKeeping(NamedTuple):
    """Offsets from the lane's centre between lane changes.

    Attributes:
        wander_m: root mean square about a stretch's own mean.
        offset_m: standard deviation of those means between stretches.
        shortest_period_s, longest_period_s: of waves, log-uniform between the two, whose
            autocorrelation is that of the wander at 2, 5 and 10 s.
    """

    wander_m: float
    offset_m: float
    shortest_period_s: float
    longest_period_s: float


class Calibration(NamedTuple):
    """All of it."""

    headway_variation: HeadwayVariation
    lane_change: LaneChangeFit
    lane_keeping: LaneKeeping


@cache
def calibration() -> Calibration:
    """What was fitted to I-80 (headways) and US-101 (motion across the road)."""
    summary = json.loads(DRIVERS_CSV.with_suffix(".json").read_text())
    return Calibration(
        HeadwayVariation(**summary["headway_variation"]),
        LaneChangeFit(**summary["lane_change"]),
        LaneKeeping(**summary["lane_keeping"]),
    )
