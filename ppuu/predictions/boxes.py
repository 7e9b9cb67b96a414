"""Predictions as boxes on a known road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..backends import boxes_cpu
from ..backends.dispatch import float32, paired, wants_gradient
from ..backends.kernel import owners
from ..geometry import rotate, to_local
from ..perception.observation import Observation
from ..perception.road_map import LocalRoad
from ..perception.vehicle_raster import draw_momentum, draw_vehicles
from .base import Errors, Prediction, RoadChannel
from .mask import EgoMask, EgoPath, interval_mass
from .road_mass import mapped_road_mass
from .samples import interleave_tensors
from .target import Target

_NEAR_M = 30.0
"""Distance from the ego at which a vehicle's error has half the weight."""


@dataclass(frozen=True, eq=False)
class BoxPrediction(Prediction):
    """Future states of the tracked vehicles.

    Attributes:
        states: ``(batch, candidates or 1, samples, time, slots, 4)`` x_m, y_m, heading_rad,
            speed_mps.
        size_m: ``(batch, slots, 2)`` length and width.
        valid: ``(batch, slots)`` which slots hold a vehicle.
        road: the map.
    """

    states: Float[Tensor, "batch predicted samples time slots 4"]
    size_m: Float[Tensor, "batch slots 2"]
    valid: Bool[Tensor, "batch slots"]
    road: LocalRoad

    @property
    def samples(self) -> int:
        """How many."""
        return self.states.shape[2]

    def vehicle_mass(
        self, mask: EgoMask, ego: EgoPath
    ) -> Float[Tensor, "batch candidates samples time masks"]:
        """Each box is four pieces along its length, each an ego-aligned rectangle of equal area."""
        return self.vehicle_moments(mask, ego)[0]

    def _moments_compiled(
        self, mask: EgoMask, ego: EgoPath
    ) -> tuple[
        Float[Tensor, "batch candidates samples time masks"],
        Float[Tensor, "batch candidates samples time masks"],
    ]:
        mass, momentum = _Moments.apply(ego.states, mask.sizes_m, self._table).unbind(-1)
        return mass, momentum

    @paired(
        _moments_compiled, boxes_cpu.moments, boxes_cpu.gradient,
        # No gradients reach the boxes.
        when=lambda self, mask, ego: (
            not wants_gradient(self.states) and float32(ego.states, mask.sizes_m, self.states)
        ),
    )  # fmt: skip
    def vehicle_moments(
        self, mask: EgoMask, ego: EgoPath
    ) -> tuple[
        Float[Tensor, "batch candidates samples time masks"],
        Float[Tensor, "batch candidates samples time masks"],
    ]:
        """As ``vehicle_mass``, with the momentum."""
        own = ego.states[:, :, None, :, None]
        ahead, left, turn = to_local(self.states[..., :3], own).unbind(-1)
        cos, sin = torch.cos(turn), torch.sin(turn)
        # Empty slots may have size 0, which would divide by zero.
        size = torch.where(self.valid[..., None], self.size_m, 1.0)
        length, width = size[:, None, None, None].unbind(-1)
        quarter = length / boxes_cpu.PIECES
        along2 = (quarter * cos).square() + (width * sin).square()
        across2 = (quarter * sin).square() + (width * cos).square()
        ratio = (along2 / across2) ** 0.25
        side = (quarter * width).sqrt()
        middle = torch.arange(boxes_cpu.PIECES, device=turn.device, dtype=turn.dtype)
        from_middle = (middle - 0.5 * (boxes_cpu.PIECES - 1)) * quarter[..., None]
        px = ahead[..., None] + from_middle * cos[..., None]
        py = left[..., None] + from_middle * sin[..., None]
        weight = self.valid[:, None, None, None].to(turn.dtype)
        speed = self.states[..., 3] * cos
        moments = []
        for sizes in mask.sizes_m.unbind(-2):
            half, fore, aft, wide, aside = sizes[:, :, None, :, None, None].unbind(-1)
            along = interval_mass(px, (side * ratio)[..., None], half, fore, aft)
            across = interval_mass(py, (side / ratio)[..., None], wide, aside, aside)
            mass = (along * across).sum(-1) * weight
            moments.append(torch.stack([mass.sum(-1), (mass * speed).sum(-1)], dim=-1))
        mass, momentum = torch.stack(moments, dim=-2).unbind(-1)
        return mass, momentum

    @cached_property
    def _table(self) -> Float[Tensor, "owners samples time slots 7"]:
        """The boxes as the compiled pass takes them; size 0 in empty slots."""
        x, y, heading, speed = self.states.detach().unbind(-1)
        size = (self.size_m * self.valid[..., None])[:, None, None, None].expand(
            *self.states.shape[:-1], 2
        )
        parts = torch.stack([x, y, torch.cos(heading), torch.sin(heading), speed], dim=-1)
        return torch.cat([parts, size], dim=-1).flatten(0, 1).contiguous()

    def road_mass(
        self, mask: EgoMask, ego: EgoPath, *channels: RoadChannel
    ) -> Float[Tensor, "batch candidates 1 time masks"]:
        """Sampled from the map."""
        return mapped_road_mass(self.road, mask, ego, *channels)[:, :, None]

    def disagreement(self) -> Float[Tensor, "batch predicted time"]:
        """Variance of the vehicles' positions over replicas, mean over vehicles, m2."""
        variance = self.states[..., :2].var(2).sum(-1)
        weight = self.valid[:, None, None].to(variance.dtype)
        return (variance * weight).sum(-1) / weight.sum(-1).clamp(min=1.0)

    def vehicle_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time rows columns"]:
        """Rasterized."""
        flat = self._flat(poses)
        return draw_vehicles(*flat, self.raster).unflatten(0, self.states.shape[:4])

    def vehicle_momentum_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch predicted samples time 2 rows columns"]:
        """Rasterized, each box weighted by its velocity."""
        speed = self.states[..., 3].flatten(0, 3)
        drawn = draw_momentum(*self._flat(poses), speed, self.raster)
        return drawn.unflatten(0, self.states.shape[:4])

    def _flat(self, poses: Float[Tensor, "batch time 3"]) -> tuple[Tensor, Tensor, Tensor]:
        """Poses, boxes and their mask, one row per image."""
        shape = self.states.shape[:4]
        size = self.size_m[:, None, None, None].expand(*shape, -1, -1)
        boxes = torch.cat([self.states[..., :3], size], dim=-1).flatten(0, 3)
        valid = self.valid[:, None, None, None].expand(*shape, -1).flatten(0, 3)
        return poses[:, None, None].expand(*shape, 3).flatten(0, 3), boxes, valid

    def road_images(
        self, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch 1 1 time 2 rows columns"]:
        """The map, rasterized."""
        return self.road.draw(poses, self.raster)[:, None, None]

    def next_observation(
        self, observation: Observation, ego: Float[Tensor, "rows 4"], time: int, sample: int = 0
    ) -> Observation:
        """Images centred on the ego's new pose, and the tracks one frame later."""
        batch = len(self.size_m)
        candidates = len(ego) // batch
        states = self.states[:, :, sample, time].detach()
        states = states.expand(-1, candidates, -1, -1).flatten(0, 1)
        image = None
        if observation.images.shape[-1] > 0:
            pose = ego[:, :3].detach()
            size, valid = (v.repeat_interleave(candidates, 0) for v in (self.size_m, self.valid))
            boxes = torch.cat([states[..., :3], size], dim=-1)
            road = self.road.repeat(candidates).draw(pose[:, None], self.raster)[:, 0]
            vehicles = draw_vehicles(pose, boxes, valid, self.raster)
            image = torch.stack([road[:, 0], vehicles, road[:, 1]], dim=1)
        return observation.followed_by(image, states, ego)

    def errors(self, target: Target) -> dict[str, Errors]:
        """Metres along and across each vehicle's heading; weights decrease away from the ego."""
        if target.tracks is None or target.valid is None:
            return {}
        true = target.tracks.transpose(1, 2)
        error = self.states[:, 0, ..., :2] - true[:, None, ..., :2]
        along, across = rotate(error, -true[:, None, ..., 2]).unbind(-1)
        distance_m = (true[..., :2] - target.ego[:, :, None, :2]).norm(dim=-1)
        weight = (target.valid.transpose(1, 2) / (1.0 + distance_m / _NEAR_M))[:, None]
        return {"along_m": Errors(along, weight), "across_m": Errors(across, weight)}

    def outlines(self, row: int, sample: int, time: int) -> Float[Tensor, "boxes 5"]:
        """The boxes."""
        valid = self.valid[row]
        states = self.states[row, 0, sample, time, valid, :3]
        return torch.cat([states, self.size_m[row, valid]], dim=-1).detach().cpu()

    def at(self, time: int) -> BoxPrediction:
        """The prediction at one time."""
        now = slice(time, time + 1)
        return replace(self, states=self.states[:, :, :, now], pose=self.pose[:, :, now])

    @classmethod
    def concatenate(cls, parts: Sequence[BoxPrediction]) -> BoxPrediction:
        """Concatenates predictions in time."""
        return replace(
            parts[0],
            states=torch.cat([part.states for part in parts], dim=3),
            pose=torch.cat([part.pose for part in parts], dim=2),
        )

    @classmethod
    def interleave(cls, parts: Sequence[BoxPrediction], samples: int) -> BoxPrediction:
        """Interleaves the samples of several predictions."""
        return replace(
            parts[0], states=interleave_tensors([part.states for part in parts], 2, samples)
        )


class _Moments(torch.autograd.Function):
    """The compiled pass, differentiable with respect to the ego's poses and the masks' sizes."""

    @staticmethod
    def forward(ctx, states, sizes, boxes):
        ctx.save_for_backward(states, sizes, boxes)
        batch, candidates, time, masks = sizes.shape[:4]
        found = states.new_empty(batch, candidates, boxes.shape[1], time, masks, 2)
        _launch(boxes_cpu.moments, states, sizes, boxes, found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, by_moments):  # type: ignore[override]
        states, sizes, boxes = ctx.saved_tensors
        to_states, to_sizes = states.new_empty(states.shape), sizes.new_empty(sizes.shape)
        arguments = (by_moments.contiguous(), to_states, to_sizes)
        _launch(boxes_cpu.gradient, states, sizes, boxes, *arguments)
        return to_states, to_sizes, None


def _launch(kernel, states, sizes, boxes, *others) -> None:
    paths = states.shape[0] * states.shape[1]
    kernel(
        states.reshape(paths, *states.shape[2:]), sizes.reshape(paths, *sizes.shape[2:]),
        owners(paths, len(boxes)),
        *(other.view(paths, *other.shape[2:]) for other in others), shared=(boxes.numpy(),),
    )  # fmt: skip
