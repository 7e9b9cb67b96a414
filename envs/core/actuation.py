"""From the commanded to the executed action: delay and friction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.runtime.errors import InputError

_GRAVITY_MPS2 = 9.81


@dataclass(frozen=True)
class Actuation:
    """Delay and friction of the ego.

    Attributes:
        delay_frames: an action takes effect so many frames later; until then the ego rolls on.
        friction: between tyres and road: acceleration along and across together stay below it
            times 9.81 m/s² (the friction circle); inf for no limit but that of the actions.
    """

    delay_frames: int = 0
    friction: float = math.inf

    def __post_init__(self):
        if not (self.delay_frames >= 0 and self.friction > 0):
            raise InputError(f"actuation: {self}; a delay cannot be negative, friction must be > 0")

    @property
    def has_friction_limit(self) -> bool:
        """Whether friction limits the actions."""
        return not math.isinf(self.friction)

    def limit_by_friction(
        self, action: Float[Tensor, "envs 2"], speed_mps: Float[Tensor, " envs"]
    ) -> Float[Tensor, "envs 2"]:
        """Actions within the friction circle: both parts are scaled down where they exceed it."""
        across = action[:, 1] * speed_mps.square()
        demanded = torch.hypot(action[:, 0], across)
        fraction = self.friction * _GRAVITY_MPS2 / demanded.clamp(min=1e-6)
        return action * fraction.clamp(max=1.0)[:, None]
