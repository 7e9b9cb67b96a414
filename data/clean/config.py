"""Configuration of checks and repairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ppuu.runtime.errors import InputError

Smoothing = Literal["path", "none", "ppuu-mean"]


@dataclass(frozen=True)
class Bounds:
    """Physical bounds of road vehicles; rows beyond them are counted in the report.

    Acceleration and jerk: as in the literature on NGSIM's errors (Punzo,
    Borzacchiello and Ciuffo, 2011; Montanino and Punzo, 2015).  Yaw rate: nuPlan's bound for a
    comfortable ride (max_abs_yaw_rate).  Speed and lateral acceleration are ours: 252 km/h, and
    0.9 g, the friction limit of a dry road.

    Attributes:
        highest_speed_mps: speed.
        lowest_acceleration_mps2: acceleration along the road, braking.
        highest_acceleration_mps2: acceleration along the road, speeding up.
        highest_jerk_mps3: change of the acceleration, either way.
        highest_yaw_rate_radps: change of the heading, either way.
        highest_lateral_acceleration_mps2: speed times yaw rate, either way.
    """

    highest_speed_mps: float = 70.0
    lowest_acceleration_mps2: float = -8.0
    highest_acceleration_mps2: float = 5.0
    highest_jerk_mps3: float = 15.0
    highest_yaw_rate_radps: float = 0.95
    highest_lateral_acceleration_mps2: float = 8.8

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Quantity → smallest and largest value."""
        symmetric = {
            "jerk_mps3": self.highest_jerk_mps3,
            "yaw_rate_radps": self.highest_yaw_rate_radps,
            "lateral_acceleration_mps2": self.highest_lateral_acceleration_mps2,
        }
        return {
            "speed_mps": (-self.highest_speed_mps, self.highest_speed_mps),
            "acceleration_mps2": (self.lowest_acceleration_mps2, self.highest_acceleration_mps2),
        } | {quantity: (-high, high) for quantity, high in symmetric.items()}


@dataclass(frozen=True)
class CleanConfig:
    """Checks and repairs; every repair is counted in the report.

    Attributes:
        duplicates: several rows of a vehicle in a frame: reject the file, or keep the first row.
        fill_gaps: interpolate up to longest-gap missing frames; a longer gap, or any gap without
            this option, splits the track.
        longest_gap: largest number of consecutive missing frames to interpolate.
        split_jumps: split a track where it moves faster than jump-mps (two vehicles with the same
            number).
        jump_mps: speed between consecutive rows.
        shortest_track_s: shorter tracks are dropped.
        smoothing: of positions and recorded headings, from which speeds (and missing headings) are
            derived. path: progress over time, path over the distance travelled, so that a vehicle
            that hardly moves does not move sideways. none: as recorded. ppuu-mean: mean of a
            frame and the next 14, as in PPUU, which shifts positions by 0.7 s and removes 14
            frames.
        shortest_period_s: path takes faster motion for noise (half of it is left at this period).
        shortest_wave_m: path takes shorter waves of the path for noise, below the speed of
            shortest-wave-m in shortest-period-s; above it, what takes less than that period.
        bounds: physical bounds.
        drop_implausible: drop tracks with a row beyond the bounds; they are always counted.
        find_overlaps: list vehicles whose boxes overlap.
    """

    duplicates: Literal["refuse", "keep-first"] = "refuse"
    fill_gaps: bool = True
    longest_gap: int = 5
    split_jumps: bool = True
    jump_mps: float = 80.0
    shortest_track_s: float = 1.0
    smoothing: Smoothing = "path"
    shortest_period_s: float = 2.0
    shortest_wave_m: float = 9.0
    bounds: Bounds = Bounds()
    drop_implausible: bool = False
    find_overlaps: bool = True

    def check(self) -> None:
        """Checks the values; separate from ``__init__`` for one-line errors on the command line.

        Raises:
            InputError: a value that is not positive, or bounds that exclude 0.
        """
        for name in ("jump_mps", "shortest_track_s", "shortest_period_s", "shortest_wave_m"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name):g}; it must be positive")
        if self.longest_gap < 0:
            raise InputError(f"longest_gap is {self.longest_gap}; it must not be negative")
        for quantity, (low, high) in self.bounds.limits.items():
            if not low < 0.0 < high:
                raise InputError(
                    f"the bounds of {quantity} are {low:g} and {high:g}; 0 must lie between them"
                )
