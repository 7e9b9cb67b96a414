"""Features of other vehicles and of the road, relative to a vehicle.

They are invariant to translation and rotation of the scene.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..recordings.tracks import Tracks
from .road_map import LocalRoad

PAIR_FEATURES = 11
_NEAR_M = 60.0
_LATERAL_M = (-4.6, -3.7, -2.8, -1.85, -0.9, 0.0, 0.9, 1.85, 2.8, 3.7, 4.6)
"""Lateral offsets, to the left of the vehicle's centre, at which the road is sampled."""
ROAD_FEATURES = 2 * len(_LATERAL_M)


def relative_position(
    own: Float[Tensor, "*#batch 4"], other: Float[Tensor, "*#batch 4"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """Metres from one vehicle to another, ahead and to the left."""
    dx, dy = other[..., 0] - own[..., 0], other[..., 1] - own[..., 1]
    cos, sin = torch.cos(own[..., 2]), torch.sin(own[..., 2])
    return cos * dx + sin * dy, cos * dy - sin * dx


def pair_features(
    states: Float[Tensor, "batch tokens 4"],
    others: Float[Tensor, "batch tokens neighbours 4"],
    size_m: Float[Tensor, "batch tokens 2"],
    other_size_m: Float[Tensor, "batch tokens neighbours 2"],
) -> Float[Tensor, "batch tokens neighbours features"]:
    """Relative position and motion of each vehicle's neighbours."""
    own = states[:, :, None]
    ahead, left = relative_position(own, others)
    heading, speed = others[..., 2] - own[..., 2], own[..., 3]
    relative_speed = others[..., 3] * torch.cos(heading) - speed
    lateral_speed = others[..., 3] * torch.sin(heading)
    length, width = (0.5 * (size_m[:, :, None] + other_size_m)).unbind(-1)
    gap = (ahead.abs() - length).clamp(min=0.0)
    lateral_gap = left.abs() - width
    return torch.stack(
        [
            ahead.clamp(-_NEAR_M, _NEAR_M) / 20,
            left.clamp(-15.0, 15.0) / 4,
            torch.exp(-gap / 5) * ahead.sign(),
            torch.exp(-gap / 15) * ahead.sign(),
            torch.exp(-lateral_gap.clamp(min=0.0) / 1.5),
            (lateral_gap < 0.3).to(ahead.dtype),
            relative_speed / 5,
            (relative_speed / (gap + 3)).clamp(-3.0, 3.0),
            lateral_speed,
            speed.expand_as(ahead) / 10,
            (gap / (speed + 2)).clamp(max=5.0),
        ],
        dim=-1,
    )


def road_features(
    road: LocalRoad, states: Float[Tensor, "batch vehicles 4"], ahead_m: tuple[float, ...]
) -> Float[Tensor, "batch vehicles features"]:
    """Lane lines and off-road area at points across the road, at distances ahead."""
    left, ahead = torch.meshgrid(
        states.new_tensor(_LATERAL_M), states.new_tensor(ahead_m), indexing="ij"
    )
    x, y, heading = (value[..., None] for value in states[..., :3].unbind(-1))
    cos, sin = torch.cos(heading), torch.sin(heading)
    ahead, left = ahead.flatten(), left.flatten()
    coverage = road.read(x + ahead * cos - left * sin, y + ahead * sin + left * cos)
    return coverage.transpose(1, 2).flatten(2)


def last_action(tracks: Tracks, seconds: float) -> Float[Tensor, "batch tokens 2"]:
    """Acceleration and curvature over the last interval of the history, 0 if it is incomplete."""
    before, now = tracks.states[:, :, -2], tracks.states[:, :, -1]
    acceleration = (now[..., 3] - before[..., 3]) / seconds
    turn = torch.atan2((now[..., 2] - before[..., 2]).sin(), (now[..., 2] - before[..., 2]).cos())
    distance_m = 0.5 * (now[..., 3] + before[..., 3]) * seconds
    curvature = turn / distance_m.clamp(min=0.5)
    valid = tracks.valid[:, :, -2]
    action = torch.stack([acceleration.clamp(-4.0, 4.0), curvature.clamp(-0.05, 0.05)], dim=-1)
    return action * valid[..., None]
