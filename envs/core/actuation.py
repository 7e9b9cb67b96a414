"""From the commanded to the executed action: delay, and friction of the road."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ppuu.driving.vehicle_limits import VehicleLimits
from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class Actuation:
    """How well the egos' vehicles obey.

    Attributes:
        delay_frames: an action takes effect so many frames later; until then the ego rolls on.
        friction: factor on the friction between tyres and road; 1 is a dry road.
    """

    delay_frames: int = 0
    friction: float = 1.0

    def __post_init__(self):
        if not (self.delay_frames >= 0 and self.friction > 0):
            raise InputError(f"actuation: {self}; a delay cannot be negative, friction must be > 0")

    def limits(self, size_m: Float[Tensor, "envs 2"]) -> VehicleLimits:
        """What vehicles of these lengths and widths can do on this road."""
        return VehicleLimits.of(size_m, self.friction)
