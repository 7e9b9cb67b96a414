"""The lanes that a vehicle occupies: that of its centre, and one that a flank hangs over."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..recordings.lanes import NO_LANE, LaneField, LanePlace

_OVERHANG_M = 0.2
"""A flank that hangs over a line by less does not occupy the lane beyond."""


def flank_lane(
    field: LaneField,
    boxes: Float[Tensor, "envs vehicles 5"],
    place: LanePlace,
    road: Int[Tensor, " envs"],
) -> Int[Tensor, "envs vehicles"]:
    """Lane under the flank that is nearer to a line; -1 where it is off the road."""
    reach = place.offset_m.sign() * (0.5 * boxes[..., 4] - _OVERHANG_M)
    x = boxes[..., 0] - reach * place.direction_rad.sin()
    y = boxes[..., 1] + reach * place.direction_rad.cos()
    return field.look_up(x, y, road).lane


def two_lanes(
    first: Int[Tensor, "envs vehicles"],
    *others: Int[Tensor, "envs vehicles"],
) -> Int[Tensor, "envs vehicles 2"]:
    """``first``, and the first of the other lanes that differs from it (-1 if none does)."""
    second = torch.full_like(first, NO_LANE)
    for other in reversed(others):
        second = torch.where((other != first) & (other >= 0), other, second)
    return torch.stack([first, second], dim=-1)
