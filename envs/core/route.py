"""The route of an ego: the human's path, and how far along it the ego has come."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.backends import route_cpu
from ppuu.backends.dispatch import constant_float32, paired
from ppuu.perception.goal import NODE_SPACING_M
from ppuu.recordings.polyline import arc_length_m, points_at

BEHIND, AHEAD = 2, 3
"""Segments around the last station in which the nearest point is looked for: 8 to 16 m away."""
BEYOND_M = 40.0
"""Routes go on straight for so long beyond their end, so that a fast ego is still on them."""
_LAST_M = 4.0
"""The straight end goes on in the direction of the last metres of the path."""


def node_count(distance_m: float) -> int:
    """Nodes of routes of this length."""
    return math.ceil((distance_m + BEYOND_M) / NODE_SPACING_M) + 1


def route_nodes(path_m: Float[np.ndarray, "frames 2"], count: int) -> Float[np.ndarray, "count 2"]:
    """Nodes along a path, ``NODE_SPACING_M`` apart, then straight on.

    Args:
        path_m: recorded positions.
        count: number of nodes.
    """
    station = arc_length_m(path_m)
    direction = path_m[-1] - points_at(path_m, station, station[-1:] - _LAST_M)[0]
    direction = direction / max(float(np.hypot(*direction)), 1e-6)
    nodes = NODE_SPACING_M * np.arange(count)
    inside = points_at(path_m, station, nodes)
    return inside + (nodes - station[-1]).clip(0.0)[:, None] * direction


def pose_at(
    route_m: Float[Tensor, "envs nodes 2"], station_m: Float[Tensor, " envs"]
) -> Float[Tensor, "envs 3"]:
    """x_m, y_m and heading_rad of each route at a station."""
    share = station_m / NODE_SPACING_M
    before = share.long().clamp(max=route_m.shape[1] - 2)
    every = torch.arange(len(route_m), device=route_m.device)
    start, end = route_m[every, before], route_m[every, before + 1]
    along = end - start
    heading = torch.atan2(along[:, 1], along[:, 0])
    return torch.cat([start + (share - before)[:, None] * along, heading[:, None]], dim=1)


def _follow_compiled(
    route_m: Float[Tensor, "envs nodes 2"],
    station_m: Float[Tensor, " envs"],
    state: Float[Tensor, "envs 4"],
) -> tuple[Float[Tensor, " envs"], Float[Tensor, " envs"]]:
    found, along = torch.empty_like(station_m), torch.empty_like(station_m)
    route_cpu.follow(
        route_m, station_m, state, found, along,
        shared=(np.float32(NODE_SPACING_M), BEHIND, AHEAD),
    )  # fmt: skip
    return found, along


@paired(
    _follow_compiled, route_cpu.follow,
    when=lambda route_m, station_m, state: constant_float32(route_m, state),
)  # fmt: skip
def follow(
    route_m: Float[Tensor, "envs nodes 2"],
    station_m: Float[Tensor, " envs"],
    state: Float[Tensor, "envs 4"],
) -> tuple[Float[Tensor, " envs"], Float[Tensor, " envs"]]:
    """The station of the nearest point of the route near the last one, and the heading there.

    Only segments near the last station are looked at, so that where a route crosses itself the
    station does not jump.

    Args:
        route_m: nodes, ``NODE_SPACING_M`` apart along the route.
        station_m: where the ego was before.
        state: where it is.

    Returns:
        The station, and the cosine of the ego's heading relative to the route.
    """
    segments = route_m.shape[1] - 1
    around = torch.arange(-BEHIND, AHEAD + 1, device=route_m.device)
    first = (station_m / NODE_SPACING_M).floor().long()
    segment = (first[:, None] + around).clamp(0, segments - 1)
    index = segment[..., None].expand(-1, -1, 2)
    start, end = route_m.gather(1, index), route_m.gather(1, index + 1)
    chord = end - start
    length = chord.norm(dim=-1).clamp(min=1e-3)
    away = state[:, None, :2] - start
    share = ((away * chord).sum(-1) / length.square()).clamp(0.0, 1.0)
    distance = (away - share[..., None] * chord).norm(dim=-1)
    nearest = distance.argmin(1, keepdim=True)
    station = ((segment + share) * NODE_SPACING_M).gather(1, nearest)[:, 0]
    direction = (chord / length[..., None]).gather(1, nearest[..., None].expand(-1, -1, 2))[:, 0]
    heading = state[:, 2]
    return station, direction[:, 0] * heading.cos() + direction[:, 1] * heading.sin()
