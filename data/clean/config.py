"""What is checked and repaired, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ppuu.runtime.errors import InputError

Smoothing = Literal["none", "savitzky-golay", "rts", "ppuu-mean"]


@dataclass(frozen=True)
class Bounds:
    """What a road vehicle can do; a row beyond it is counted in the report.

    Acceleration and jerk: the bounds that the literature on NGSIM's errors uses (Punzo,
    Borzacchiello and Ciuffo, 2011; Montanino and Punzo, 2015).  Yaw rate: nuPlan's bound for a
    comfortable ride (max_abs_yaw_rate).  Speed and lateral acceleration are ours: 252 km/h, and
    0.9 g, what a tyre holds on a dry road.

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
    """Which steps are taken; every one that changes something is counted in the report.

    Attributes:
        duplicates: what to do with a second row of a vehicle in a frame: refuse the file, or keep
            the first of them.
        fill_gaps: interpolate missing frames, up to longest-gap of them; a longer gap, or any gap
            without this, splits the track in two.
        longest_gap: missing frames in a row that are still filled.
        split_jumps: split a track where it moves faster than jump-mps: two vehicles under one
            number.
        jump_mps: speed from one row to the next.
        shortest_track_s: shorter tracks are dropped.
        hold_heading: while a vehicle is slower than 1 m/s, keep the heading that it had before, for
            headings of the raw file, too. Headings that follow from the motion are always held.
        smoothing: of positions (and recorded headings); speed and heading then follow from them.
            savitzky-golay: local polynomials of degree 3. rts: Rauch-Tung-Striebel smoother.
            ppuu-mean: mean of a frame and the 14 that follow, which shifts everything 0.7 s ahead
            and costs 14 frames, as in PPUU.
        window_s: whole window of savitzky-golay.
        noise_m: standard deviation of a recorded position, for rts.
        agility_mps2: by how much a vehicle's acceleration changes within a second (standard
            deviation), for rts; smaller is smoother.
        bounds: of what a vehicle can do.
        drop_implausible: drop tracks with a row beyond the bounds; they are counted in any case.
        find_overlaps: list vehicles whose boxes overlap.
    """

    duplicates: Literal["refuse", "keep-first"] = "refuse"
    fill_gaps: bool = True
    longest_gap: int = 5
    split_jumps: bool = True
    jump_mps: float = 80.0
    shortest_track_s: float = 1.0
    hold_heading: bool = False
    smoothing: Smoothing = "none"
    window_s: float = 1.1
    noise_m: float = 0.3
    agility_mps2: float = 1.0
    bounds: Bounds = Bounds()
    drop_implausible: bool = False
    find_overlaps: bool = True

    def check(self) -> None:
        """Refuses values without meaning; apart, as the command line would frame the message.

        Raises:
            InputError: a length that is not positive, or bounds that nobody can keep.
        """
        for name in ("jump_mps", "shortest_track_s", "window_s", "noise_m", "agility_mps2"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name):g}; it must be positive")
        if self.longest_gap < 0:
            raise InputError(f"longest_gap is {self.longest_gap}; it cannot be negative")
        for quantity, (low, high) in self.bounds.limits.items():
            if not low < 0.0 < high:
                raise InputError(
                    f"the bounds of {quantity} are {low:g} and {high:g}; 0 must lie between them"
                )
