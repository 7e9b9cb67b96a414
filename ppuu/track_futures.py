"""Predicted surroundings as boxes on a known road: what models of vehicles (not pixels) return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .raster import LocalRoad, RasterConfig, draw_vehicles


@dataclass(frozen=True, eq=False)
class TrackFutures:
    """Where each tracked vehicle will be, several alternatives for each element of a batch.

    Costs are exact functions of boxes; images are drawn only where a network wants to see one.

    Attributes:
        states: ``(batch, futures, time, slots, 4)`` x_m, y_m, heading_rad, speed_mps.
        size_m: ``(batch, slots, 2)`` length and width.
        here: ``(batch, slots)`` which slots hold a vehicle.
        road: the map.
        pose: ``(batch, time, 3)`` a frame that glides along with the ego's present velocity; how
            far the ego leaves it tells how far it is from what was looked at.
        raster: size and scale of images, when drawn.
    """

    states: Float[Tensor, "batch futures time slots 4"]
    size_m: Float[Tensor, "batch slots 2"]
    here: Bool[Tensor, "batch slots"]
    road: LocalRoad
    pose: Float[Tensor, "batch time 3"]
    raster: RasterConfig

    def at(self, time: int) -> TrackFutures:
        """One time alone."""
        now = slice(time, time + 1)
        return replace(self, states=self.states[:, :, now], pose=self.pose[:, now])

    def repeat(self, copies: int) -> TrackFutures:
        """Every element of the batch ``copies`` times in a row."""
        return TrackFutures(
            self.states.repeat_interleave(copies, 0),
            self.size_m.repeat_interleave(copies, 0),
            self.here.repeat_interleave(copies, 0),
            self.road.repeat(copies),
            self.pose.repeat_interleave(copies, 0),
            self.raster,
        )

    @classmethod
    def in_time(cls, parts: Sequence[TrackFutures]) -> TrackFutures:
        """Several one after the other."""
        return replace(
            parts[0],
            states=torch.cat([part.states for part in parts], dim=2),
            pose=torch.cat([part.pose for part in parts], dim=1),
        )

    @torch.no_grad()
    def seen_from(self, pose: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch 3 rows columns"]:
        """The first time of the first alternative, drawn at a pose; a constant."""
        pose = pose.detach()
        road = self.road.draw(pose[:, None], self.raster)[:, 0]
        first = replace(self, states=self.states[:, :1, :1])
        vehicles = first.draw(pose[:, None])[:, 0, 0]
        return torch.stack([road[:, 0], vehicles, road[:, 1]], dim=1)

    def draw(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch futures time rows columns"]:
        """The vehicles as seen from poses, the same for all alternatives."""
        shape = self.states.shape[:3]
        size = self.size_m[:, None, None].expand(*shape, -1, -1)
        boxes = torch.cat([self.states[..., :3], size], dim=-1).flatten(0, 2)
        here = self.here[:, None, None].expand(*shape, -1).flatten(0, 2)
        poses = poses[:, None].expand(-1, shape[1], -1, -1).flatten(0, 2)
        return draw_vehicles(poses, boxes, here, self.raster).unflatten(0, shape)
