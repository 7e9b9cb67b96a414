"""Sensors: how well a camera measures the positions of vehicles.

The error of a position has, along the road and across it, parts with a memory: critically damped
second-order processes (Matérn, smoothness 3/2), whose autocorrelation is ``(1 + τ/T) exp(-τ/T)``.
Only positions have errors of their own; those of speeds and headings follow from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..runtime.config import from_json
from ..runtime.files import read_json

SensorName = Literal["exact", "drone", "ngsim"]
Axis = Literal["along", "across"]

NGSIM_JSON = Path(__file__).with_name("ngsim_sensor.json")


@dataclass(frozen=True)
class NoisePart:
    """A part of a position's error.

    Attributes:
        std_m: standard deviation.
        memory_s: T of the autocorrelation ``(1 + τ/T) exp(-τ/T)``; 0 for white noise.
    """

    std_m: float
    memory_s: float

    def covariance(self, lag_s: Float[np.ndarray, "*lags"]) -> Float[np.ndarray, "*lags"]:
        """Autocovariance in m²."""
        if self.memory_s == 0.0:
            return np.where(lag_s == 0.0, self.std_m**2, 0.0)
        ratio = np.abs(lag_s) / self.memory_s
        return self.std_m**2 * (1.0 + ratio) * np.exp(-ratio)

    def recursion(self, dt_s: float) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 3"]]:
        """Coefficients of the filter that makes this noise of standard normal numbers.

        A sampled second-order process is an ARMA(2, 1); its moving average has the autocovariance
        that remains after the autoregression, exactly, at every time step.

        Returns:
            numerator and denominator, as of ``scipy.signal.lfilter``.
        """
        root = math.exp(-dt_s / self.memory_s) if self.memory_s else 0.0
        denominator = np.array([1.0, -2.0 * root, root**2])
        index = np.arange(3)
        lag_s = (index[:, None] - index[None, :]) * dt_s
        same, next_one = (
            denominator @ self.covariance(lag_s + shift) @ denominator for shift in (0.0, dt_s)
        )
        # variance (1 + b²) = same, variance b = next_one; the invertible root.
        ratio = 2.0 * next_one / (same + math.sqrt(max(same**2 - 4.0 * next_one**2, 0.0)) or 1.0)
        scale = math.sqrt(same / (1.0 + ratio**2))
        return scale * np.array([1.0, ratio]), denominator


@dataclass(frozen=True)
class Sensor:
    """What a source of recordings does to the positions of vehicles.

    The defaults are those of a perfect one.

    Attributes:
        along: parts of the error along the vehicle, independent of each other.
        across: parts of the error to its left.
        standstill_mps: below this speed errors change as slowly as the vehicle moves; at
            standstill they do not change.
        camera_m: length of road that one camera sees.
        seam_m: width of the seam between two cameras.
        shift_m: standard deviation of the shift along the road at either end of a camera's view,
            the same for all vehicles.
        quantum_m: step of the written positions.
        late_m: a track begins evenly within this distance of its first position.
        lost_per_h: how often a vehicle is lost for a while.
        lost_s: mean duration of that.
        front: positions are those of the front bumper, without headings.
    """

    along: tuple[NoisePart, ...] = ()
    across: tuple[NoisePart, ...] = ()
    standstill_mps: float = 1.0
    camera_m: float = 100.0
    seam_m: float = 10.0
    shift_m: float = 0.0
    quantum_m: float = 0.0
    late_m: float = 0.0
    lost_per_h: float = 0.0
    lost_s: float = 1.0
    front: bool = False

    def covariance(
        self, axis: Axis, lag_s: Float[np.ndarray, "*lags"]
    ) -> Float[np.ndarray, "*lags"]:
        """Autocovariance in m² of the error along or across, without the shift."""
        parts: tuple[NoisePart, ...] = getattr(self, axis)
        return sum((part.covariance(lag_s) for part in parts), np.zeros_like(lag_s))


EXACT = Sensor()

DRONE = Sensor(
    along=(NoisePart(0.04, 30.0), NoisePart(0.03, 0.5)),
    across=(NoisePart(0.04, 30.0), NoisePart(0.03, 0.5)),
    quantum_m=0.01,
    lost_per_h=0.5,
)
"""As highD.  Krajewski et al. (ITSC 2018): a positioning error of typically less than 0.1 m, after
a Bayesian smoother, written with two decimals.  That is taken for two standard deviations; which
part of it lasts as long as a vehicle is in sight, the memory of the other and the losses are
assumed."""

NGSIM = from_json(Sensor, read_json(NGSIM_JSON)["sensor"], str(NGSIM_JSON))
"""As NGSIM's I-80, lane 1, 4:00 p.m., its noisiest part; fitted by ``data.fit_sensors``."""

SENSORS: dict[SensorName, Sensor] = {"exact": EXACT, "drone": DRONE, "ngsim": NGSIM}
