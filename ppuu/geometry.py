"""Frames of reference and oriented boxes.

A pose is ``(x_m, y_m, heading_rad)``; a box is ``(x_m, y_m, heading_rad, length_m, width_m)``
with its pose at the centre.  Everything is batched and differentiable.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def wrap_angle(angle_rad: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """The same angle in [-pi, pi)."""
    return torch.remainder(angle_rad + math.pi, 2 * math.pi) - math.pi


def rotate(
    vector: Float[Tensor, "*#batch 2"], angle_rad: Float[Tensor, "*#batch"]
) -> Float[Tensor, "*#batch 2"]:
    """Turns vectors counter-clockwise."""
    cos, sin = torch.cos(angle_rad), torch.sin(angle_rad)
    x, y = vector.unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def to_local(
    pose: Float[Tensor, "*#batch pose"], origin: Float[Tensor, "*#batch origin"]
) -> Float[Tensor, "*#batch pose"]:
    """Poses (first three columns; further columns pass through) seen from ``origin``."""
    position = rotate(pose[..., :2] - origin[..., :2], -origin[..., 2])
    heading = wrap_angle(pose[..., 2:3] - origin[..., 2:3])
    rest = pose[..., 3:].expand(*heading.shape[:-1], -1)
    return torch.cat([position, heading, rest], dim=-1)


def to_world(
    pose: Float[Tensor, "*#batch pose"], origin: Float[Tensor, "*#batch origin"]
) -> Float[Tensor, "*#batch pose"]:
    """Inverse of ``to_local``."""
    position = rotate(pose[..., :2], origin[..., 2]) + origin[..., :2]
    heading = wrap_angle(pose[..., 2:3] + origin[..., 2:3])
    rest = pose[..., 3:].expand(*heading.shape[:-1], -1)
    return torch.cat([position, heading, rest], dim=-1)


def box_corners(box: Float[Tensor, "*batch 5"]) -> Float[Tensor, "*batch 4 2"]:
    """Corners in the order front-left, rear-left, rear-right, front-right."""
    half = 0.5 * box[..., None, 3:5]
    signs = box.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    return rotate(half * signs, box[..., None, 2]) + box[..., None, :2]


def _separations(
    a: Float[Tensor, "*batch 5"], b: Float[Tensor, "*batch 5"]
) -> Float[Tensor, "*batch 4"]:
    """Gap along each of the four box axes (negative where the projections overlap)."""
    relative = b[..., :2] - a[..., :2]
    turn = b[..., 2] - a[..., 2]
    cos, sin = torch.cos(turn).abs(), torch.sin(turn).abs()
    half_a, half_b = 0.5 * a[..., 3:5], 0.5 * b[..., 3:5]
    in_a = rotate(relative, -a[..., 2]).abs()
    in_b = rotate(relative, -b[..., 2]).abs()
    return torch.stack(
        [
            in_a[..., 0] - half_a[..., 0] - half_b[..., 0] * cos - half_b[..., 1] * sin,
            in_a[..., 1] - half_a[..., 1] - half_b[..., 0] * sin - half_b[..., 1] * cos,
            in_b[..., 0] - half_b[..., 0] - half_a[..., 0] * cos - half_a[..., 1] * sin,
            in_b[..., 1] - half_b[..., 1] - half_a[..., 0] * sin - half_a[..., 1] * cos,
        ],
        dim=-1,
    )


def boxes_overlap(
    a: Float[Tensor, "*batch 5"], b: Float[Tensor, "*batch 5"]
) -> Bool[Tensor, "*batch"]:
    """Whether two oriented boxes share area (separating-axis theorem; touching is not overlap)."""
    return (_separations(a, b) < 0).all(-1)


def clearance(
    a: Float[Tensor, "*batch 5"], b: Float[Tensor, "*batch 5"]
) -> Float[Tensor, "*batch"]:
    """Euclidean distance between two boxes in metres; minus the penetration if they overlap."""
    separation = _separations(a, b).amax(-1)
    own, other = _both_ways(a, b)
    local = rotate(box_corners(other) - own[..., None, :2], -own[..., None, 2])
    beyond = (local.abs() - 0.5 * own[..., None, 3:5]).clamp(min=0.0)
    outside = torch.linalg.vector_norm(beyond, dim=-1).amin(-1).amin(0)
    return torch.where(separation < 0, separation, outside)


def _both_ways(
    a: Float[Tensor, "*batch 5"], b: Float[Tensor, "*batch 5"]
) -> tuple[Float[Tensor, "2 *batch 5"], Float[Tensor, "2 *batch 5"]]:
    """Each box as the one and as the other: so that both are queried at once."""
    a, b = torch.broadcast_tensors(a, b)
    return torch.stack([a, b]), torch.stack([b, a])


def time_to_collision(
    a: Float[Tensor, "*batch 5"],
    b: Float[Tensor, "*batch 5"],
    velocity_a: Float[Tensor, "*batch 2"],
    velocity_b: Float[Tensor, "*batch 2"],
) -> Float[Tensor, "*batch"]:
    """Seconds until two boxes that keep velocity and heading first overlap; inf if never, 0 if now.

    Exact: two convex boxes in relative translation overlap on the intersection of four time
    intervals, one for each box axis.
    """
    own, other = _both_ways(a, b)
    relative, relative_velocity = b[..., :2] - a[..., :2], velocity_b - velocity_a
    turn = b[..., 2] - a[..., 2]
    cos, sin = torch.cos(turn).abs(), torch.sin(turn).abs()
    position = rotate(relative, -own[..., 2])
    velocity = rotate(relative_velocity, -own[..., 2])
    length, width = (0.5 * other[..., 3:5]).unbind(-1)
    reach = 0.5 * own[..., 3:5] + torch.stack(
        [length * cos + width * sin, length * sin + width * cos], dim=-1
    )
    moving = velocity.abs() > 1e-12
    safe = torch.where(moving, velocity, 1.0)
    low, high = (-reach - position) / safe, (reach - position) / safe
    inside = torch.where(position.abs() < reach, math.inf, -math.inf)
    first = torch.where(moving, torch.minimum(low, high), -inside)
    last = torch.where(moving, torch.maximum(low, high), inside)
    enter = first.amax(-1).amax(0).clamp(min=0.0)
    leave = last.amin(-1).amin(0)
    return torch.where(enter < leave, enter, torch.full_like(enter, math.inf))
