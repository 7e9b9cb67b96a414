"""``lidar``: how far one sees in each direction before a vehicle is in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float
from torch import Tensor

from ppuu.geometry import rotate, to_local
from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.runtime.errors import InputError

from ..core.simulator import Simulator
from ..core.world import World
from .base import Sensor, SensorConfig


@dataclass(frozen=True)
class LidarConfig(SensorConfig):
    """Directions and reach.

    Attributes:
        beams: directions, evenly spread over the full turn; the first points ahead, the others
            follow counter-clockwise.
        range_m: how far a beam reaches.
    """

    beams: int = 32
    range_m: float = 60.0

    def __post_init__(self):
        if self.beams < 1 or not 0 < self.range_m < math.inf:
            raise InputError(
                f"observation.lidar: {self.beams} beams of {self.range_m} m; both must be positive"
            )

    def build(self, world: World, history: ObservationConfig) -> Lidar:
        """The same for every world."""
        return Lidar(self, world)


class Lidar(Sensor):
    """``(beams,)`` metres from the ego's centre to the nearest box; ``range_m`` if none is met."""

    def __init__(self, config: LidarConfig, world: World):
        space = spaces.Box(0.0, config.range_m, (config.beams,), np.float32)
        super().__init__(space, world.device)
        self._config = config

    def read(self, simulator: Simulator, history: Observation) -> Float[Tensor, "envs beams"]:
        """The others' boxes, hit by rays; the ego's own does not count."""
        others, config = simulator.sensed_neighbours(), self._config
        boxes = to_local(others.boxes, simulator.state[:, None, :3])
        return ranges(boxes, others.valid, config.beams, config.range_m)


def ranges(
    boxes: Float[Tensor, "envs slots 5"],
    present: Bool[Tensor, "envs slots"],
    beams: int,
    range_m: float,
) -> Float[Tensor, "envs beams"]:
    """Exact distances along rays from the origin to oriented boxes.

    A ray, seen from a box, lies between the box's two pairs of sides during two intervals of its
    length; it hits where both have begun and none has ended.  0 for a box around the origin.
    """
    near = boxes[..., :2].norm(dim=-1) - 0.5 * boxes[..., 3:].norm(dim=-1) < range_m
    env, slot = (present & near).nonzero(as_tuple=True)
    box = boxes[env, slot][:, None]
    angle = torch.arange(beams, device=boxes.device, dtype=boxes.dtype) * (2 * math.pi / beams)
    direction = torch.stack([angle.cos(), angle.sin()], dim=-1)
    start = rotate(-box[..., :2], -box[..., 2])
    along = rotate(direction, -box[..., 2])
    half = 0.5 * box[..., 3:]
    # A ray parallel to a side is between it and its twin always or never.
    safe = torch.where(along == 0, torch.finfo(along.dtype).tiny, along)
    first, last = (-half - start) / safe, (half - start) / safe
    enter = torch.minimum(first, last).amax(-1).clamp(min=0.0)
    leave = torch.maximum(first, last).amin(-1)
    hit = torch.where(enter <= leave, enter, range_m)
    found = boxes.new_full((len(boxes), beams), range_m)
    return found.scatter_reduce_(0, env[:, None].expand_as(hit), hit, "amin")
