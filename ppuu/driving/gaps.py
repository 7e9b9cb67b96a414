"""Gaps between vehicles, bumper to bumper."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .lane_order import NO_VEHICLE


def bumper_gap_m(distance_m: Any, length_m: Any, other_length_m: Any) -> Any:
    """Gap between two vehicles whose centres are ``distance_m`` apart along the road.

    Args:
        distance_m: between the centres; floats, NumPy arrays or tensors, like the lengths.
        length_m, other_length_m: of the vehicles.
    """
    return distance_m - 0.5 * (length_m + other_length_m)


def gap_along_lane(
    follower: Float[Tensor, "*#batch 5"],
    direction_rad: Float[Tensor, "*#batch"],
    leader: Float[Tensor, "*#batch 5"],
) -> Float[Tensor, "*batch"]:
    """Gap between boxes in metres along a lane that runs in ``direction_rad``."""
    displacement = leader[..., :2] - follower[..., :2]
    along = displacement[..., 0] * direction_rad.cos() + displacement[..., 1] * direction_rad.sin()
    return bumper_gap_m(along, follower[..., 3], leader[..., 3])


def gaps_to_leaders(
    boxes: Float[Tensor, "envs vehicles 5"],
    direction_rad: Float[Tensor, "envs vehicles"],
    leader: Int[Tensor, "envs followers lanes"],
) -> Float[Tensor, "envs followers lanes"]:
    """Gaps in metres along the followers' lanes; inf where there is no leader.

    Args:
        boxes: the vehicles; the followers come first.
        direction_rad: of the lane that each vehicle is in.
        leader: index into the vehicles, or ``NO_VEHICLE``.
    """
    followers = leader.shape[1]
    envs = torch.arange(len(boxes), device=boxes.device)[:, None, None]
    ahead = boxes[envs, leader.clamp(min=0)]
    gap = gap_along_lane(boxes[:, :followers, None], direction_rad[:, :followers, None], ahead)
    return torch.where(leader == NO_VEHICLE, torch.inf, gap)
