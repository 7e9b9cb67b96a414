"""What a corpus is drawn from: a range for every parameter of traffic, road and sensor."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

VERSION = 3
"""Raise it with every change of the ranges or the generator that changes recordings."""


@dataclass(frozen=True)
class Uniform:
    """Numbers from ``low`` to ``high``, all equally likely."""

    low: float
    high: float

    def draw(self, random: np.random.Generator) -> float:
        """One number, with four digits after the point."""
        return round(random.uniform(self.low, self.high), 4)

    def edges(self, bins: int) -> Float[np.ndarray, " edges"]:
        """Of bins that are all equally likely."""
        return np.linspace(self.low, self.high, bins + 1)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class LogUniform:
    """Numbers from ``low`` to ``high``, their logarithms equally likely."""

    low: float
    high: float

    def draw(self, random: np.random.Generator) -> float:
        """One number, with four digits after the point."""
        return round(float(np.exp(random.uniform(np.log(self.low), np.log(self.high)))), 4)

    def edges(self, bins: int) -> Float[np.ndarray, " edges"]:
        """Of bins that are all equally likely."""
        return np.geomspace(self.low, self.high, bins + 1)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, logarithmic"


@dataclass(frozen=True)
class Choice:
    """One of some values; a value that is listed twice is twice as likely."""

    values: tuple[Any, ...]

    def draw(self, random: np.random.Generator) -> Any:
        """One of the values."""
        return self.values[int(random.integers(len(self.values)))]

    def __str__(self) -> str:
        return ", ".join(
            f"{value} ({self.values.count(value)} of {len(self.values)})"
            for value in dict.fromkeys(self.values)
        )


Range = Uniform | LogUniform | Choice

RAMPS = ("none", "on", "off", "weave")
"""No ramp, an on-ramp, an off-ramp, or a lane from an on-ramp to an off-ramp."""

RANGES: Mapping[str, Range] = {
    "seconds": Uniform(60.0, 90.0),
    # The road.
    "main_lanes": Choice((2, 3, 4, 5, 6)),
    "lane_width_m": Uniform(3.2, 3.9),
    "carpool_lane": Choice((False, False, False, True)),
    "ramp": Choice(RAMPS),
    "merge_start_m": Uniform(20.0, 150.0),
    "merge_length_m": Uniform(150.0, 330.0),
    "bends": Choice((False, True)),
    "bend_acceleration_mps2": Uniform(0.3, 2.0),
    # How much traffic, and how fast.
    "inflow_per_lane_hz": Uniform(0.1, 0.6),
    "carpool_inflow_hz": Uniform(0.1, 0.45),
    "carpool_speed_ratio": Uniform(1.0, 1.5),
    "ramp_inflow_hz": LogUniform(0.03, 0.35),
    "exit_share": Uniform(0.05, 0.3),
    "bottleneck_speed_mps": LogUniform(6.0, 40.0),
    "bottleneck_swing_ratio": Uniform(0.0, 0.7),
    "bottleneck_period_s": Uniform(50.0, 100.0),
    # Drivers.
    "desired_speed_scale": Uniform(0.7, 1.35),
    "headway_scale": Uniform(0.7, 1.25),
    "truck_share": Uniform(0.0, 0.25),
    "lane_wish_rate_hz": LogUniform(0.001, 0.012),
    "acceleration_noise_mps2": Uniform(0.05, 0.25),
    "headway_log_std": Uniform(0.1, 0.45),
    "wander_m": Uniform(0.1, 0.35),
    # Errors of measurement.
    "sensor": Choice(("exact", "exact", "drone", "ngsim")),
}
"""What is drawn, by name; ``traffic.py`` has their use."""

MEANINGS: Mapping[str, str] = {
    "seconds": "length of the recording",
    "main_lanes": "lanes without the ramp",
    "lane_width_m": "width of every lane",
    "carpool_lane": "whether the leftmost lane is open to few; on roads of four lanes and more",
    "ramp": "no ramp, on-ramp, off-ramp, or a lane from one to the other",
    "merge_start_m": "from where on vehicles change to and from the ramp",
    "merge_length_m": "length of the stretch where they do",
    "bends": "whether the road winds",
    "bend_acceleration_mps2": "lateral acceleration in the sharpest bend at the mean desired speed",
    "inflow_per_lane_hz": "vehicles that arrive on each main lane, per second",
    "carpool_inflow_hz": "the same on the car-pool lane",
    "carpool_speed_ratio": "desired speed there, relative to the lanes beside it",
    "ramp_inflow_hz": "vehicles that arrive on the on-ramp, per second",
    "exit_share": "fraction of the vehicles on the right lanes that take the off-ramp",
    "bottleneck_speed_mps": "mean speed limit behind the section; the queue comes from it",
    "bottleneck_swing_ratio": "its swing relative to its mean: stop-and-go waves",
    "bottleneck_period_s": "typical time from wave to wave",
    "desired_speed_scale": "factor on the desired speeds",
    "headway_scale": "factor on the drivers' time headways",
    "truck_share": "fraction of lorries",
    "lane_wish_rate_hz": "how often a driver intends to change lanes without gain",
    "acceleration_noise_mps2": "unsteadiness of the pedals",
    "headway_log_std": "how much a driver's headway varies: standard deviation of its logarithm",
    "wander_m": "standard deviation of the drift about a driver's own place in the lane",
    "sensor": "sensor whose errors the recording has",
}


def draw(seed: int, index: int) -> dict[str, Any]:
    """The parameters of one recording of a corpus; those without effect are left out.

    Every parameter has a random generator of its own, so that a new one leaves the others as they
    are.

    Args:
        seed: of the corpus.
        index: of the recording.
    """
    drawn = {
        name: one.draw(np.random.default_rng([seed, index, zlib.crc32(name.encode())]))
        for name, one in RANGES.items()
    }
    unused: set[str] = set()
    if drawn["main_lanes"] < 4:
        drawn["carpool_lane"] = False
    if not drawn["carpool_lane"]:
        unused |= {"carpool_inflow_hz", "carpool_speed_ratio"}
    if drawn["ramp"] == "none":
        unused |= {"merge_start_m", "merge_length_m"}
    if drawn["ramp"] in ("none", "off"):
        unused |= {"ramp_inflow_hz"}
    if drawn["ramp"] in ("none", "on"):
        unused |= {"exit_share"}
    if not drawn["bends"]:
        unused |= {"bend_acceleration_mps2"}
    return {name: value for name, value in drawn.items() if name not in unused}
