"""What a driver perceives of others and of the road, in numbers that do not tell the place.

Everything is relative to the one who looks, so what is learnt from it turns and shifts with the
scene.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..recordings.tracks import Tracks
from .road_map import LocalRoad

PAIR_FEATURES = 11
_NEAR_M = 60.0
_BESIDE_M = (-4.6, -3.7, -2.8, -1.85, -0.9, 0.0, 0.9, 1.85, 2.8, 3.7, 4.6)
"""Where one looks at the road, to the left of the own middle."""
ROAD_FEATURES = 2 * len(_BESIDE_M)


def relative(
    own: Float[Tensor, "*#batch 4"], other: Float[Tensor, "*#batch 4"]
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """How far the others are ahead and to the left."""
    east, north = other[..., 0] - own[..., 0], other[..., 1] - own[..., 1]
    cos, sin = torch.cos(own[..., 2]), torch.sin(own[..., 2])
    return cos * east + sin * north, cos * north - sin * east


def pairs(
    states: Float[Tensor, "batch tokens 4"],
    others: Float[Tensor, "batch tokens seen 4"],
    size_m: Float[Tensor, "batch tokens 2"],
    other_size_m: Float[Tensor, "batch tokens seen 2"],
) -> Float[Tensor, "batch tokens seen features"]:
    """How each vehicle sees the others."""
    own = states[:, :, None]
    ahead, left = relative(own, others)
    turn, speed = others[..., 2] - own[..., 2], own[..., 3]
    faster = others[..., 3] * torch.cos(turn) - speed
    drift = others[..., 3] * torch.sin(turn)
    length, width = (0.5 * (size_m[:, :, None] + other_size_m)).unbind(-1)
    gap = (ahead.abs() - length).clamp(min=0.0)
    beside = left.abs() - width
    return torch.stack(
        [
            ahead.clamp(-_NEAR_M, _NEAR_M) / 20,
            left.clamp(-15.0, 15.0) / 4,
            torch.exp(-gap / 5) * ahead.sign(),
            torch.exp(-gap / 15) * ahead.sign(),
            torch.exp(-beside.clamp(min=0.0) / 1.5),
            (beside < 0.3).to(ahead.dtype),
            faster / 5,
            (faster / (gap + 3)).clamp(-3.0, 3.0),
            drift,
            speed.expand_as(ahead) / 10,
            (gap / (speed + 2)).clamp(max=5.0),
        ],
        dim=-1,
    )


def road_beside(
    road: LocalRoad, states: Float[Tensor, "batch lookers 4"], ahead_m: tuple[float, ...]
) -> Float[Tensor, "batch lookers features"]:
    """Lines and off-road area at points to both sides, here and further ahead."""
    left, ahead = torch.meshgrid(
        states.new_tensor(_BESIDE_M), states.new_tensor(ahead_m), indexing="ij"
    )
    x, y, heading = (value[..., None] for value in states[..., :3].unbind(-1))
    cos, sin = torch.cos(heading), torch.sin(heading)
    ahead, left = ahead.flatten(), left.flatten()
    seen = road.read(x + ahead * cos - left * sin, y + ahead * sin + left * cos)
    return seen.transpose(1, 2).flatten(2)


def present_action(tracks: Tracks, seconds: float) -> Float[Tensor, "batch tokens 2"]:
    """Acceleration and curvature over the last interval of the history."""
    before, now = tracks.states[:, :, -2], tracks.states[:, :, -1]
    acceleration = (now[..., 3] - before[..., 3]) / seconds
    turn = torch.atan2((now[..., 2] - before[..., 2]).sin(), (now[..., 2] - before[..., 2]).cos())
    way = 0.5 * (now[..., 3] + before[..., 3]) * seconds
    curvature = turn / way.clamp(min=0.5)
    seen = tracks.valid[:, :, -2]
    action = torch.stack([acceleration.clamp(-4.0, 4.0), curvature.clamp(-0.05, 0.05)], dim=-1)
    return action * seen[..., None]
