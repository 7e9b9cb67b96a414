"""Lane lines and off-road area under masks, integrated over the road map."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..backends import road_mass_cpu
from ..backends.dispatch import float32, paired, wants_gradient
from ..perception.road_map import LocalRoad
from .base import RoadChannel
from .mask import EgoMask, EgoPath, interval_mass


def mapped_road_mass(
    road: LocalRoad, mask: EgoMask, ego: EgoPath, *channels: RoadChannel
) -> Float[Tensor, "batch candidates time masks"]:
    """Area under masks, m2: a midpoint rule over cells, weighted by the mask's integral over each.

    Many cells across, to resolve lane lines; two along, since a road hardly bends over a vehicle's
    length.  Differentiable with respect to the ego and the masks' sizes.
    """
    return road_masses(road, mask, ego, _numbers(channels, mask.sizes_m.shape[3]))


@lru_cache(maxsize=64)
def _numbers(channels: tuple[RoadChannel, ...], masks: int) -> Int[np.ndarray, " masks"]:
    """Index of each mask's channel in the map."""
    named = channels * masks if len(channels) == 1 else channels
    if len(named) != masks:
        raise ValueError(f"{len(channels)} channels for {masks} masks; give one, or one for each")
    return np.array([0 if channel == "lanes" else 1 for channel in named])


def _road_mass_compiled(
    road: LocalRoad, mask: EgoMask, ego: EgoPath, numbers: Int[np.ndarray, " masks"]
) -> Float[Tensor, "batch candidates time masks"]:
    return _RoadMass.apply(ego.states, mask.sizes_m, road, numbers)


@paired(
    _road_mass_compiled, road_mass_cpu.road_masses,
    when=lambda road, mask, ego, numbers: (
        not wants_gradient(mask.sizes_m)
        and float32(ego.states, mask.sizes_m, road.road_map.atlas)
    ),
)  # fmt: skip
def road_masses(
    road: LocalRoad, mask: EgoMask, ego: EgoPath, numbers: Int[np.ndarray, " masks"]
) -> Float[Tensor, "batch candidates time masks"]:
    half, ahead, behind, wide, side = mask.sizes_m.unbind(-1)
    along, along_weight = _cells(half, ahead, behind, road_mass_cpu.ALONG)
    across, across_weight = _cells(wide, side, side, road_mass_cpu.ACROSS)
    x, y, heading, _ = ego.states[..., None, None, None, :].unbind(-1)
    cos, sin = torch.cos(heading), torch.sin(heading)
    along, across = along[..., :, None], across[..., None, :]
    channels = road.read(x + along * cos - across * sin, y + along * sin + across * cos)
    lanes, offroad = channels.unbind(1)
    at_lanes = torch.as_tensor(numbers == 0, device=x.device)[:, None, None]
    coverage = torch.where(at_lanes, lanes, offroad)
    return (coverage * along_weight[..., :, None] * across_weight[..., None, :]).sum((-2, -1))


def _cells(half: Tensor, ahead: Tensor, behind: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Midpoints of equal cells over a trapezoid's support, and its integral over each."""
    extent = (2.0 * half + ahead + behind) / count
    number = torch.arange(count, device=half.device, dtype=half.dtype) + 0.5
    middle = number * extent[..., None] - (half + behind)[..., None]
    weight = interval_mass(
        middle, extent[..., None], half[..., None], ahead[..., None], behind[..., None]
    )
    return middle, weight


class _RoadMass(torch.autograd.Function):
    """The compiled pass, which also computes the gradient with respect to the states."""

    @staticmethod
    def forward(ctx, states, sizes, road, numbers):
        batch, candidates, time, masks = sizes.shape[:4]
        paths = batch * candidates
        found = states.new_empty(batch, candidates, time, masks)
        slopes = states.new_empty(batch, candidates, time, masks, 4)
        owner = road.road.repeat_interleave(candidates)
        road_mass_cpu.road_masses(
            states.reshape(paths, time, 4), sizes.reshape(paths, time, masks, 5), owner,
            found.view(paths, time, masks), slopes.view(paths, time, masks, 4),
            shared=(numbers, *road.road_map.nodes),
        )  # fmt: skip
        ctx.save_for_backward(slopes)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, by_masses):  # type: ignore[override]
        (slopes,) = ctx.saved_tensors
        return (by_masses[..., None] * slopes).sum(-2), None, None, None
