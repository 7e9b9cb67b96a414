"""A planner that believes everybody keeps speed and heading: what a learned model has to beat.

Each frame a lattice of manoeuvres (an acceleration and a sideways shift, after Werling et al.,
2010) is scored against straight extrapolations of the nearest vehicles; the best one's first frame
is driven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..geometry import to_local
from ..kinematics import ActionBounds
from ..observation import Observation
from ..raster import RoadMap
from .base import Policy, Surroundings

_NEAREST = 10
_FLOW_REACH_M = 50.0
"""Vehicles up to here tell the direction of the road and the pace of the traffic."""
_STEEPEST = 0.25
"""Sideways way over way ahead: who crawls cannot shift by a lane."""
_LOOK_AHEAD_S, _LOOK_AHEAD_M = 0.5, 2.0
"""Steering aims at the manoeuvre's point so far ahead (pure pursuit)."""


class _Plans(NamedTuple):
    """Manoeuvres in the frame of the flow at the ego; ``p`` of them, ``t`` times ahead."""

    along_m: Float[Tensor, "batch p t"]
    left_m: Float[Tensor, "batch p t"]
    speed_mps: Float[Tensor, "batch p t"]
    acceleration_mps2: Float[Tensor, " p"]
    shift_m: Float[Tensor, " p"]


@dataclass(frozen=True)
class ConstantVelocityPlanner(Policy):
    """Sampling model-predictive control with the others at constant velocity.

    Attributes:
        accelerations_mps2, shifts_m: the lattice; a shift is taken over the whole horizon.
        horizon_s, times: how far to look, at how many moments.
        margin_m: what boxes are inflated by, along and across.
        contact, proximity, lane, offroad, effort, pace, shift: weights; penetration of inflated
            boxes in metres, the headway of 1.2 s, being on a line or off the road, squares of the
            acceleration, of the difference from the traffic's speed, and of the shift.
    """

    accelerations_mps2: tuple[float, ...] = (-6.0, -4.0, -2.5, -1.2, -0.5, 0.0, 0.5, 1.0, 1.5)
    shifts_m: tuple[float, ...] = (-3.7, -1.85, -0.8, -0.3, 0.0, 0.3, 0.8, 1.85, 3.7)
    horizon_s: float = 3.0
    times: int = 8
    margin_m: tuple[float, float] = (1.0, 0.35)
    contact: float = 8.0
    proximity: float = 1.0
    lane: float = 0.15
    offroad: float = 5.0
    effort: float = 0.02
    pace: float = 0.02
    shift: float = 0.01

    @torch.no_grad()
    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """The first frame of the cheapest manoeuvre."""
        ego = observation.ego[:, -1]
        apart = (surroundings.boxes[..., :2] - ego[:, None, :2]).norm(dim=-1)
        apart = torch.where(surroundings.visible, apart, torch.inf)
        flow_rad, flow_mps = _flow(ego, surroundings, apart < _FLOW_REACH_M)
        plans = self._plans(ego, flow_rad)
        frame = torch.cat([ego[:, :2], flow_rad[:, None]], dim=1)
        apart, nearest = apart.topk(min(_NEAREST, apart.shape[1]), dim=1, largest=False)
        boxes = surroundings.boxes.gather(1, nearest[..., None].expand(-1, -1, 5))
        speed = surroundings.speed_mps.gather(1, nearest)
        cost = self._traffic(plans, to_local(boxes, frame[:, None]), speed, apart, observation)
        road = surroundings.scene.vehicle_recording[surroundings.vehicle]
        width = observation.size_m[:, 1]
        cost = cost + self._road(plans, frame, width, surroundings.road_map, road)
        cost = cost + self.pace * (plans.speed_mps - flow_mps[:, None, None]).square()
        cost = cost.mean(-1) + self.effort * plans.acceleration_mps2.square()
        best = (cost + self.shift * plans.shift_m.square()).argmin(1)
        return ActionBounds().clamp(self._first(plans, best, ego, flow_rad))

    def _times(self, like: Tensor) -> Float[Tensor, " t"]:
        return torch.linspace(0.0, self.horizon_s, self.times + 1).to(like)[1:]

    def _plans(self, ego: Float[Tensor, "batch 4"], flow_rad: Float[Tensor, " batch"]) -> _Plans:
        """Constant acceleration, and a cubic from the present drift to the shift."""
        time = self._times(ego)
        acceleration, shift = torch.cartesian_prod(
            ego.new_tensor(self.accelerations_mps2), ego.new_tensor(self.shifts_m)
        ).T
        start = ego[:, 3, None, None]
        speed = (start + acceleration[:, None] * time).clamp(min=0.0)
        # Braking ends at standstill.
        moving = torch.where(
            acceleration[:, None] < 0,
            torch.minimum(time, start / acceleration[:, None].abs().clamp(min=1e-6)),
            time,
        )
        along = start * moving + 0.5 * acceleration[:, None] * moving.square()
        u = time / self.horizon_s
        drift = ego[:, 3] * torch.sin(ego[:, 2] - flow_rad) * self.horizon_s
        room = _STEEPEST * along[..., -1:]
        goal = torch.minimum(torch.maximum(shift[:, None], -room), room)
        left = drift[:, None, None] * u * (1 - u).square() + goal * u.square() * (3 - 2 * u)
        return _Plans(along, left, speed, acceleration, shift)

    def _traffic(
        self,
        plans: _Plans,
        boxes: Float[Tensor, "batch near 5"],
        speed_mps: Float[Tensor, "batch near"],
        apart_m: Float[Tensor, "batch near"],
        observation: Observation,
    ) -> Float[Tensor, "batch p t"]:
        """Contact with and proximity to the others, boxes taken along the flow."""
        time = self._times(plans.along_m)
        ahead = boxes[..., 0, None] + (speed_mps * boxes[..., 2].cos())[..., None] * time
        left = boxes[..., 1, None] + (speed_mps * boxes[..., 2].sin())[..., None] * time
        offset = ahead[:, None] - plans.along_m[:, :, None]
        half = 0.5 * (boxes[..., 3:5] + observation.size_m[:, None])
        gap = offset.abs() - half[:, None, :, 0, None]
        beside = (left[:, None] - plans.left_m[:, :, None]).abs() - half[:, None, :, 1, None]
        there = apart_m.isfinite()[:, None, :, None]
        into = torch.minimum(self.margin_m[0] - gap, self.margin_m[1] - beside).clamp(min=0.0)
        speed = plans.speed_mps[:, :, None]
        reach = torch.where(offset > 0, 1.2 * speed + 2.0, 0.5 * speed + 1.5)
        weight = torch.where(offset > 0, 1.0, 0.5) * self.proximity
        near = (1 - gap.clamp(min=0) / reach).clamp(min=0) * (1 - beside / 0.9).clamp(0, 1)
        cost = self.contact * (into + into.square()) + weight * near
        return torch.where(there, cost, 0.0).sum(2)

    def _road(
        self,
        plans: _Plans,
        frame: Float[Tensor, "batch 3"],
        width_m: Float[Tensor, " batch"],
        road_map: RoadMap,
        road: Tensor,
    ) -> Float[Tensor, "batch p t"]:
        """Lines under the middle, and off the road at the middle or either flank."""
        x, y, heading = (column[:, None, None, None] for column in frame.unbind(-1))
        flanks = width_m[:, None, None, None] * frame.new_tensor([-0.5, 0.0, 0.5])
        along, left = plans.along_m[..., None], plans.left_m[..., None] + flanks
        read = road_map.read(
            x + along * heading.cos() - left * heading.sin(),
            y + along * heading.sin() + left * heading.cos(),
            road,
        )
        return self.lane * read[:, 0, ..., 1] + self.offroad * read[:, 1].amax(-1)

    def _first(
        self,
        plans: _Plans,
        best: Tensor,
        ego: Float[Tensor, "batch 4"],
        flow_rad: Float[Tensor, " batch"],
    ) -> Float[Tensor, "batch 2"]:
        """The chosen acceleration, and the curvature towards a point of the manoeuvre."""
        row = torch.arange(len(best), device=best.device)
        along, left = plans.along_m[row, best], plans.left_m[row, best]
        reach = (_LOOK_AHEAD_S * ego[:, 3]).clamp(min=_LOOK_AHEAD_M)
        point = (along < reach[:, None]).sum(1).clamp(max=self.times - 1)
        along, left = along[row, point], left[row, point]
        bearing = torch.atan2(left, along.clamp(min=1e-3)) + flow_rad - ego[:, 2]
        distance = torch.hypot(along, left)
        curvature = torch.where(distance > 0.1, 2 * bearing.sin() / distance.clamp(min=0.1), 0.0)
        return torch.stack([plans.acceleration_mps2[best], curvature], dim=-1)


def _flow(
    ego: Float[Tensor, "batch 4"], surroundings: Surroundings, near: Tensor
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Mean heading and speed of the vehicles nearby; the ego's own where there is nobody."""
    count = near.sum(1)
    heading, some = surroundings.boxes[..., 2], count > 0
    sine, cosine = (torch.where(near, f(heading), 0.0).sum(1) for f in (torch.sin, torch.cos))
    speed = torch.where(near, surroundings.speed_mps, 0.0).sum(1) / count.clamp(min=1)
    return (
        torch.where(some, torch.atan2(sine, cosine), ego[:, 2]),
        torch.where(some, speed, ego[:, 3]),
    )
