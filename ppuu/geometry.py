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
    return torch.cat([position, heading, pose[..., 3:]], dim=-1)


def to_world(
    pose: Float[Tensor, "*#batch pose"], origin: Float[Tensor, "*#batch origin"]
) -> Float[Tensor, "*#batch pose"]:
    """Inverse of ``to_local``."""
    position = rotate(pose[..., :2], origin[..., 2]) + origin[..., :2]
    heading = wrap_angle(pose[..., 2:3] + origin[..., 2:3])
    return torch.cat([position, heading, pose[..., 3:]], dim=-1)


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
    outside = torch.minimum(_corner_distance(a, b), _corner_distance(b, a))
    return torch.where(separation < 0, separation, outside)


def _corner_distance(
    a: Float[Tensor, "*batch 5"], b: Float[Tensor, "*batch 5"]
) -> Float[Tensor, "*batch"]:
    """Shortest distance from the corners of ``b`` to the box ``a``."""
    local = rotate(box_corners(b) - a[..., None, :2], -a[..., None, 2])
    beyond = (local.abs() - 0.5 * a[..., None, 3:5]).clamp(min=0.0)
    return torch.linalg.vector_norm(beyond, dim=-1).amin(-1)


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
    relative_velocity = velocity_b - velocity_a
    relative = b[..., :2] - a[..., :2]
    turn = b[..., 2] - a[..., 2]
    cos, sin = torch.cos(turn).abs(), torch.sin(turn).abs()
    enter = torch.zeros_like(turn)
    leave = torch.full_like(turn, math.inf)
    for own, other in ((a, b), (b, a)):
        position = rotate(relative, -own[..., 2])
        velocity = rotate(relative_velocity, -own[..., 2])
        half_own, half_other = 0.5 * own[..., 3:5], 0.5 * other[..., 3:5]
        reach = half_own + torch.stack(
            [
                half_other[..., 0] * cos + half_other[..., 1] * sin,
                half_other[..., 0] * sin + half_other[..., 1] * cos,
            ],
            dim=-1,
        )
        moving = velocity.abs() > 1e-12
        safe = torch.where(moving, velocity, torch.ones_like(velocity))
        first = torch.minimum((-reach - position) / safe, (reach - position) / safe)
        last = torch.maximum((-reach - position) / safe, (reach - position) / safe)
        overlaps = position.abs() < reach
        first = torch.where(moving, first, torch.where(overlaps, -math.inf, math.inf))
        last = torch.where(moving, last, torch.where(overlaps, math.inf, -math.inf))
        enter = torch.maximum(enter, first.amax(-1))
        leave = torch.minimum(leave, last.amin(-1))
    return torch.where(enter < leave, enter, torch.full_like(enter, math.inf))
