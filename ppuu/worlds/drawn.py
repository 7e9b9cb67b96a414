"""Another world's vehicles as images: what it costs to plan on pixels, whoever predicts them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..observation import Observation, ObservationConfig
from ..policies.base import Surroundings
from ..rollout import Futures
from ..track_futures import TrackFutures
from ..units import LANE_WIDTH_M
from ..world_models.gliding import gliding_poses
from .base import Foresight, World, for_candidates

_PACE_REACH_M = 40.0


@dataclass(frozen=True)
class DrawnWorld(World):
    """The boxes that a decoupled world foresees, drawn in the gliding frame.

    Attributes:
        world: foresees boxes that do not depend on what the ego does.
    """

    world: World

    @property
    def observation(self) -> ObservationConfig:  # type: ignore[override]
        """As of the world."""
        return self.world.observation

    @property
    def frames_per_step(self) -> int:  # type: ignore[override]
        """As of the world."""
        return self.world.frames_per_step

    @property
    def dt_s(self) -> float:  # type: ignore[override]
        """As of the world."""
        return self.world.dt_s

    def foresee(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        futures: int,
        generator: torch.Generator,
    ) -> Foresight:
        """One set of images serves all candidates."""
        told = self.world.foresee(observation, surroundings, steps, futures, generator)
        ego = observation.ego[:, -1]
        seconds = torch.arange(1, steps + 1, device=ego.device) * self.frames_per_step * self.dt_s
        pose = gliding_poses(ego, seconds)
        path = torch.cat([pose, ego[:, None, 3:].expand(-1, steps, -1)], dim=-1)
        with torch.no_grad():
            boxes = told(path, torch.zeros_like(path[..., :2]))
            assert isinstance(boxes, TrackFutures)
            raster = boxes.raster
            drawn = Futures(
                boxes.draw(pose), boxes.road.draw(pose, raster), pose, raster,
                pace_mps=_pace(boxes, path),
            )  # fmt: skip
        return for_candidates(drawn, len(ego))


def _pace(told: TrackFutures, path: Float[Tensor, "batch time 4"]) -> Float[Tensor, "batch time"]:
    """Mean speed of those in the gliding frame's lane at first; its own where nobody is."""
    first = told.states[:, 0, 0]
    x, y, heading = (value[:, None] for value in path[:, 0, :3].unbind(-1))
    east, north = first[..., 0] - x, first[..., 1] - y
    ahead = heading.cos() * east + heading.sin() * north
    left = heading.cos() * north - heading.sin() * east
    in_lane = (left.abs() < 0.5 * LANE_WIDTH_M) & (ahead.abs() < _PACE_REACH_M) & told.here
    weight = in_lane[:, None].to(path.dtype)
    total = weight.sum(-1)
    mean = (weight * told.states[:, 0, ..., 3]).sum(-1) / total.clamp(min=1.0)
    return torch.where(total > 0, mean, path[..., 3])
