"""The Intelligent Driver Model for a batch of vehicles, with the mean driver of I-80."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_FREE_EXPONENT = 4.0
_SMALLEST_GAP_M = 0.1
"""Gaps below this brake as hard as this one: the model divides by the gap."""


@dataclass(frozen=True)
class Idm:
    """Car following (Treiber, Hennecke and Helbing, 2000, equations 2 and 3).

    The defaults are medians over the drivers that ``data.fit_drivers`` fitted to NGSIM I-80,
    0400-0415 (136 of the pairs in ``data/drivers_i80.csv``); the desired speed is each vehicle's
    own.

    Attributes:
        time_headway_s: time gap wanted in steady following.
        jam_gap_m: gap wanted at standstill.
        max_acceleration_mps2: from standstill on a free road.
        comfortable_braking_mps2: what a driver likes to brake with at most.
        hardest_braking_mps2: what a vehicle can do.
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
        """What a driver does, in m/s², no harder than his vehicle can.

        Too fast for a free road, he brakes no harder than he likes.

        Args:
            speed_mps: own speed.
            desired_speed_mps: on a free road.
            gap_m: bumper to bumper, inf where nobody is ahead.
            leader_speed_mps: anything finite where nobody is ahead.
        """
        strongest = self.max_acceleration_mps2
        scale = 2.0 * (strongest * self.comfortable_braking_mps2) ** 0.5
        closing = speed_mps - leader_speed_mps
        dynamic = (speed_mps * (self.time_headway_s + closing / scale)).clamp(min=0.0)
        share = (self.jam_gap_m + dynamic) / gap_m.clamp(min=_SMALLEST_GAP_M)
        free = strongest * (1.0 - (speed_mps / desired_speed_mps) ** _FREE_EXPONENT)
        wanted = free.clamp(min=-self.comfortable_braking_mps2) - strongest * share**2
        return wanted.clamp(min=-self.hardest_braking_mps2)

    def equilibrium_gap_m(self, speed_mps: float, desired_speed_mps: float) -> float:
        """Gap at which a driver neither gains on a leader as fast as he nor falls back."""
        wanted = self.jam_gap_m + self.time_headway_s * speed_mps
        return wanted / (1.0 - (speed_mps / desired_speed_mps) ** _FREE_EXPONENT) ** 0.5


def fastest_recorded_mps(
    speed_mps: Float[Tensor, " rows"], row_pointer: Int[Tensor, " vehicles_1"]
) -> Float[Tensor, " vehicles"]:
    """Highest speed in each vehicle's track: the only sign of what it would like to drive."""
    vehicle = torch.repeat_interleave(row_pointer.diff())
    fastest = speed_mps.new_zeros(len(row_pointer) - 1)
    return fastest.scatter_reduce(0, vehicle, speed_mps, "amax").clamp(_SLOWEST_MPS, _FASTEST_MPS)


_SLOWEST_MPS, _FASTEST_MPS = 5.0, 40.0
"""Who only stood in a queue would like to drive; what is faster is noise of the recording."""
