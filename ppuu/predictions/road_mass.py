"""Lane lines and off-road area under masks, read from a map."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from .. import cpu_loops
from ..raster import LocalRoad
from . import road_mass_cpu
from .mask import EgoMask, EgoPath, interval_mass


def mapped_road_mass(
    road: LocalRoad, mask: EgoMask, ego: EgoPath, channel: str
) -> Float[Tensor, "batch candidates time masks"]:
    """Square metres under masks: the map at the middles of a few cells, times each cell's weight.

    Across there are as many cells as lines ask for, along but two: a road hardly turns beside one
    vehicle.  Gradients reach the ego and the masks' sizes.
    """
    number = 0 if channel == "lanes" else 1
    atlas = road.road_map.atlas
    sizes = mask.sizes_m
    fixed = not (torch.is_grad_enabled() and sizes.requires_grad)
    if fixed and cpu_loops.single(ego.states, sizes, atlas):
        return _RoadMass.apply(ego.states, sizes, road, number)
    return _by_tensors(road, mask, ego, number)


def _by_tensors(
    road: LocalRoad, mask: EgoMask, ego: EgoPath, number: int
) -> Float[Tensor, "batch candidates time masks"]:
    """What the compiled pass computes."""
    half, ahead, behind, wide, side = mask.sizes_m.unbind(-1)
    along, along_weight = _cells(half, ahead, behind, road_mass_cpu.ALONG)
    across, across_weight = _cells(wide, side, side, road_mass_cpu.ACROSS)
    x, y, heading, _ = ego.states[..., None, None, None, :].unbind(-1)
    cos, sin = torch.cos(heading), torch.sin(heading)
    along, across = along[..., :, None], across[..., None, :]
    covered = road.read(x + along * cos - across * sin, y + along * sin + across * cos)
    return (covered[:, number] * along_weight[..., :, None] * across_weight[..., None, :]).sum(
        (-2, -1)
    )


def _cells(half: Tensor, ahead: Tensor, behind: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Middles of equal cells over a trapezoid's reach, and its integral over each."""
    extent = (2.0 * half + ahead + behind) / count
    number = torch.arange(count, device=half.device, dtype=half.dtype) + 0.5
    middle = number * extent[..., None] - (half + behind)[..., None]
    weight = interval_mass(
        middle, extent[..., None], half[..., None], ahead[..., None], behind[..., None]
    )
    return middle, weight


class _RoadMass(torch.autograd.Function):
    """The compiled pass; reading the map gives its slopes as well."""

    @staticmethod
    def forward(ctx, states, sizes, road, number):
        batch, candidates, time, masks = sizes.shape[:4]
        paths = batch * candidates
        found = states.new_empty(batch, candidates, time, masks)
        slopes = states.new_empty(batch, candidates, time, masks, 3)
        owner = road.road.repeat_interleave(candidates)
        cpu_loops.in_parts(
            road_mass_cpu.road_masses, road_mass_cpu.SMALLEST_PART,
            (number, *road.road_map.nodes),
            states.reshape(paths, time, 4), sizes.reshape(paths, time, masks, 5), owner,
            found.view(paths, time, masks), slopes.view(paths, time, masks, 3),
        )  # fmt: skip
        ctx.save_for_backward(slopes)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx, by_masses):  # type: ignore[override]
        (slopes,) = ctx.saved_tensors
        by_pose = (by_masses[..., None] * slopes).sum(-2)
        return torch.nn.functional.pad(by_pose, (0, 1)), None, None, None
