"""The mean driver of I-80: parameters of the Intelligent Driver Model for driven traffic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.driving.idm import FREE_EXPONENT, IdmParameters, idm_acceleration


@dataclass(frozen=True)
class Idm:
    """Car-following with the same parameters for all vehicles but for the desired speed.

    The defaults are medians over the drivers that ``data.fit_drivers`` fitted to NGSIM I-80,
    0400-0415 (136 of the pairs in ``data/drivers_i80.csv``).

    Attributes:
        time_headway_s: time gap in steady following.
        jam_gap_m: gap at standstill.
        max_acceleration_mps2: from standstill on a free road.
        comfortable_braking_mps2: braking that drivers usually do not exceed.
        hardest_braking_mps2: limit of the vehicle.
    """

    time_headway_s: float = 1.08
    jam_gap_m: float = 1.92
    max_acceleration_mps2: float = 2.0
    comfortable_braking_mps2: float = 2.1
    hardest_braking_mps2: float = 7.5

    def acceleration(
        self,
        speed_mps: Float[Tensor, "*#batch"],
        desired_speed_mps: Float[Tensor, "*#batch"],
        gap_m: Float[Tensor, "*#batch"],
        leader_speed_mps: Float[Tensor, "*#batch"],
    ) -> Float[Tensor, "*batch"]:
        """Acceleration in m/s², within the limit of the vehicle.

        Args:
            speed_mps: own speed.
            desired_speed_mps: on a free road.
            gap_m: bumper to bumper, inf without a leader.
            leader_speed_mps: any finite value without a leader.
        """
        parameters = IdmParameters(
            desired_speed_mps,
            self.time_headway_s,
            self.jam_gap_m,
            self.max_acceleration_mps2,
            self.comfortable_braking_mps2,
        )
        acceleration = idm_acceleration(parameters, speed_mps, gap_m, leader_speed_mps)
        return acceleration.clamp(min=-self.hardest_braking_mps2)

    def equilibrium_gap_m(self, speed_mps: float, desired_speed_mps: float) -> float:
        """Gap behind an equally fast leader at which the acceleration is zero."""
        gap = self.jam_gap_m + self.time_headway_s * speed_mps
        return gap / (1.0 - (speed_mps / desired_speed_mps) ** FREE_EXPONENT) ** 0.5


def fastest_recorded_mps(
    speed_mps: Float[Tensor, " rows"], row_pointer: Int[Tensor, " vehicles_1"]
) -> Float[Tensor, " vehicles"]:
    """Highest speed in each vehicle's track, as an estimate of its desired speed."""
    vehicle = torch.repeat_interleave(row_pointer.diff())
    fastest = speed_mps.new_zeros(len(row_pointer) - 1)
    return fastest.scatter_reduce(0, vehicle, speed_mps, "amax").clamp(_SLOWEST_MPS, _FASTEST_MPS)


_SLOWEST_MPS, _FASTEST_MPS = 5.0, 40.0
"""Lower limit for vehicles that only stood in a queue; above the upper one speeds are noise."""
