"""Comfort with the bounds of nuPlan (Caesar et al., 2021), and smoothness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from .derivatives import derivative
from .drives import Drives

SLOWEST_MPS = 1.0
"""Below this speed neither curvature nor time headway is defined."""


@dataclass(frozen=True)
class ComfortBound:
    """Largest value that is comfortable for a passenger.

    Attributes:
        metric: name of the episode's extreme value.
        limit: nuPlan's bound.
        sign: -1 for the quantity that is bounded from below, else 1.
    """

    metric: str
    limit: float
    sign: int = 1

    def kept(self, value: float) -> bool:
        """Whether an episode's extreme lies within the bound."""
        return self.sign * value <= self.sign * self.limit


BOUNDS = {
    "braking": ComfortBound("smallest_acceleration_mps2", -4.05, -1),
    "acceleration": ComfortBound("largest_acceleration_mps2", 2.40),
    "lateral_acceleration": ComfortBound("largest_lateral_acceleration_mps2", 4.89),
    "longitudinal_jerk": ComfortBound("largest_longitudinal_jerk_mps3", 4.13),
    "jerk": ComfortBound("largest_jerk_mps3", 8.37),
    "yaw_rate": ComfortBound("largest_yaw_rate_radps", 0.95),
    "yaw_acceleration": ComfortBound("largest_yaw_acceleration_radps2", 1.93),
}


@dataclass(frozen=True, eq=False)
class Motion:
    """Derivatives along drives, all from the driven speeds and headings; ``(rows,)`` each.

    With speed ``v`` and yaw rate ``w``: the acceleration is ``(v', v w)`` along and across, the
    longitudinal jerk ``v''``, the jerk's magnitude that of ``(v'' - v w², 2 v' w + v w')``, the
    curvature ``w / v``.
    """

    drives: Drives

    def _derivative(self, values: np.ndarray, order: int) -> Float[np.ndarray, " rows"]:
        return derivative(values, self.drives.pointer, self.drives.dt_s, order)

    @cached_property
    def speed_mps(self) -> Float[np.ndarray, " rows"]:
        """Speed, smoothed as its derivatives are."""
        return self._derivative(self.drives.speed_mps, 0)

    @cached_property
    def acceleration_mps2(self) -> Float[np.ndarray, " rows"]:
        """Acceleration along the heading."""
        return self._derivative(self.drives.speed_mps, 1)

    @cached_property
    def yaw_rate_radps(self) -> Float[np.ndarray, " rows"]:
        """Yaw rate, positive to the left."""
        return self._derivative(self._heading_rad, 1)

    @cached_property
    def yaw_acceleration_radps2(self) -> Float[np.ndarray, " rows"]:
        """Rate of change of the yaw rate."""
        return self._derivative(self._heading_rad, 2)

    @cached_property
    def _heading_rad(self) -> Float[np.ndarray, " rows"]:
        # The jumps between episodes have no effect: windows do not cross them.
        return np.unwrap(self.drives.heading_rad.astype(float))

    @cached_property
    def lateral_acceleration_mps2(self) -> Float[np.ndarray, " rows"]:
        """Acceleration across the heading, positive to the left."""
        return self.speed_mps * self.yaw_rate_radps

    @cached_property
    def longitudinal_jerk_mps3(self) -> Float[np.ndarray, " rows"]:
        """Rate of change of the acceleration along the heading."""
        return self._derivative(self.drives.speed_mps, 2)

    @cached_property
    def jerk_mps3(self) -> Float[np.ndarray, " rows"]:
        """Magnitude of the acceleration vector's rate of change."""
        along = self.longitudinal_jerk_mps3 - self.lateral_acceleration_mps2 * self.yaw_rate_radps
        turning = 2 * self.acceleration_mps2 * self.yaw_rate_radps
        return np.hypot(along, turning + self.speed_mps * self.yaw_acceleration_radps2)

    @cached_property
    def curvature_rate_radpmps(self) -> Float[np.ndarray, " rows"]:
        """Rate of change of the path's curvature; NaN below 1 m/s."""
        moving = self.speed_mps >= SLOWEST_MPS
        speed = np.where(moving, self.speed_mps, np.nan)
        curvature = self.yaw_rate_radps / speed
        return (self.yaw_acceleration_radps2 - curvature * self.acceleration_mps2) / speed


def comfort(drives: Drives) -> dict[str, Float[np.ndarray, " episodes"]]:
    """Each episode's extremes for ``BOUNDS`` and root mean squares; NaN if it is too short."""
    motion = Motion(drives)
    whole = np.ones(len(drives.x_m), bool)

    def largest(values: np.ndarray) -> np.ndarray:
        return np.maximum.reduceat(values, drives.pointer[:-1])

    def rms(*parts: np.ndarray) -> np.ndarray:
        square = sum((part**2 for part in parts), np.zeros(len(whole)))
        return np.sqrt(drives.mean(square, np.isfinite(square)))

    along, across = motion.acceleration_mps2, motion.lateral_acceleration_mps2
    return {
        "smallest_acceleration_mps2": -largest(-along),
        "largest_acceleration_mps2": largest(along),
        "largest_lateral_acceleration_mps2": largest(np.abs(across)),
        "largest_longitudinal_jerk_mps3": largest(np.abs(motion.longitudinal_jerk_mps3)),
        "largest_jerk_mps3": largest(motion.jerk_mps3),
        "largest_yaw_rate_radps": largest(np.abs(motion.yaw_rate_radps)),
        "largest_yaw_acceleration_radps2": largest(np.abs(motion.yaw_acceleration_radps2)),
        "rms_acceleration_mps2": rms(along, across),
        "rms_jerk_mps3": rms(motion.jerk_mps3),
        "rms_curvature_rate_radpmps": rms(motion.curvature_rate_radpmps),
    }
