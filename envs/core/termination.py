"""When an episode ends, and whether the ego is at fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.backends import contact_cpu, termination_cpu
from ppuu.backends.dispatch import constant_float32, paired
from ppuu.geometry import clearance, time_to_collision, to_local
from ppuu.recordings.drivable import DrivableArea

from ..traffic.base import Neighbours

NEAREST = 16
"""Vehicles for which the time to collision is computed; clearance is that of all."""


class Outcome(IntEnum):
    """How an episode ended."""

    RUNNING = 0
    ARRIVED = 1
    """In time at the end of the route, and in the goal's lane if there is one."""
    MISSED = 2
    """At the end of the route in another lane."""
    STALLED = 3
    """The recorded window ended before 90 % of the human's progress was made."""
    TIMEOUT = 4
    COLLISION = 5
    OFFROAD = 6
    WRONG_WAY = 7
    """For a second more than 90° off the direction of the route."""


SUCCESSES = (Outcome.ARRIVED,)

WRONG_WAY_S = 1.0
"""Facing against the route for so long ends an episode."""
IN_LANE_M = 1.2
"""An ego whose centre is no further from the centre of a lane is in it."""


class CollisionKind(IntEnum):
    """Where the other vehicle was, in the ego's frame."""

    NONE = 0
    FRONT = 1
    REAR = 2
    SIDE = 3


@dataclass(frozen=True, eq=False)
class Contact:
    """The ego against all other vehicles, at one moment.

    Attributes:
        kind: ``(envs,)`` ``CollisionKind``.
        at_fault: ``(envs,)`` False without a collision and where the ego was struck from behind.
        vehicle: ``(envs,)`` scene's number of the vehicle hit, -1 for none.
        clearance_m: ``(envs,)`` distance to the nearest box, negative by the penetration; inf if
            there is no other vehicle.
        time_to_collision_s: ``(envs,)`` if all kept velocity and heading; inf if never.
    """

    kind: Int[Tensor, " envs"]
    at_fault: Bool[Tensor, " envs"]
    vehicle: Int[Tensor, " envs"]
    clearance_m: Float[Tensor, " envs"]
    time_to_collision_s: Float[Tensor, " envs"]


def _contact_compiled(
    ego_box: Float[Tensor, "envs 5"], ego_speed_mps: Float[Tensor, " envs"], others: Neighbours
) -> Contact:
    found = Contact(
        kind=torch.empty_like(others.row),
        at_fault=torch.empty_like(others.row, dtype=torch.bool),
        vehicle=torch.empty_like(others.row),
        clearance_m=torch.empty_like(ego_speed_mps),
        time_to_collision_s=torch.empty_like(ego_speed_mps),
    )
    tables = (others.table_boxes, others.table_speed_mps, others.table_vehicle)
    kinds = tuple(int(kind) for kind in CollisionKind)
    contact_cpu.contact(
        ego_box, ego_speed_mps, others.row, others.ego,
        found.kind, found.at_fault, found.vehicle, found.clearance_m, found.time_to_collision_s,
        shared=(*(table.numpy() for table in tables), NEAREST, kinds),
    )  # fmt: skip
    return found


@paired(
    _contact_compiled, contact_cpu.contact,
    when=lambda ego_box, ego_speed_mps, others: constant_float32(ego_box, others.table_boxes),
)  # fmt: skip
def contact(
    ego_box: Float[Tensor, "envs 5"], ego_speed_mps: Float[Tensor, " envs"], others: Neighbours
) -> Contact:
    """Overlap and clearance of every vehicle, time to collision of the nearest, all exact."""
    every = ego_box[:, None].expand_as(others.boxes)
    apart = torch.where(others.valid, clearance(every, others.boxes), torch.inf)
    gap, struck_slot = apart.min(1, keepdim=True)
    hit = gap[:, 0] < 0
    offset = others.boxes[..., :2] - ego_box[:, None, :2]
    # A lower bound of the clearance orders them, so that a long lorry is not overlooked for a
    # nearer car.
    bound = offset.norm(dim=-1) - 0.5 * others.boxes[..., 3:5].norm(dim=-1)
    bound = torch.where(others.valid, bound, torch.inf)
    bound, slot = bound.topk(min(NEAREST, bound.shape[1]), dim=1, largest=False)
    present = bound < torch.inf
    boxes = others.boxes.gather(1, slot[..., None].expand(-1, -1, 5))
    speed = others.speed_mps.gather(1, slot)
    ego = ego_box[:, None].expand_as(boxes)
    struck = others.boxes.gather(1, struck_slot[..., None].expand(-1, -1, 5))[:, 0]
    kind = torch.where(hit, _kind(ego_box, struck), CollisionKind.NONE)
    vehicle = others.vehicle.gather(1, struck_slot)[:, 0]
    soonest = time_to_collision(
        ego, boxes, _velocity(ego, ego_speed_mps[:, None]), _velocity(boxes, speed)
    )
    return Contact(
        kind=kind,
        at_fault=hit & (kind != CollisionKind.REAR),
        vehicle=torch.where(hit, vehicle, -1),
        clearance_m=gap[:, 0],
        time_to_collision_s=torch.where(present, soonest, torch.inf).amin(1),
    )


def _velocity(
    boxes: Float[Tensor, "envs slots 5"], speed_mps: Float[Tensor, "envs #slots"]
) -> Float[Tensor, "envs slots 2"]:
    heading = boxes[..., 2]
    return torch.stack([speed_mps * heading.cos(), speed_mps * heading.sin()], dim=-1)


def _kind(ego_box: Float[Tensor, "envs 5"], other: Float[Tensor, "envs 5"]) -> Int[Tensor, " envs"]:
    """Front or rear if the offset lies more along than across, each in units of the boxes' size."""
    local = to_local(other, ego_box)
    along = local[:, 0] / (ego_box[:, 3] + other[:, 3])
    across = local[:, 1] / (ego_box[:, 4] + other[:, 4])
    lengthwise = torch.where(along > 0, int(CollisionKind.FRONT), int(CollisionKind.REAR))
    return torch.where(across.abs() > along.abs(), int(CollisionKind.SIDE), lengthwise)


def _off_the_road_compiled(
    ego_box: Float[Tensor, "envs 5"], road: Int[Tensor, " envs"], area: DrivableArea
) -> Bool[Tensor, " envs"]:
    lost = torch.empty_like(road, dtype=torch.bool)
    termination_cpu.off_the_road(ego_box, road, lost, shared=area.tables)
    return lost


@paired(
    _off_the_road_compiled, termination_cpu.off_the_road,
    when=lambda ego_box, road, area: constant_float32(ego_box, area.corners_m),
)  # fmt: skip
def off_the_road(
    ego_box: Float[Tensor, "envs 5"], road: Int[Tensor, " envs"], area: DrivableArea
) -> Bool[Tensor, " envs"]:
    """Whether the centre of the ego's box has left the drivable area, and one of its flanks too.

    The flanks keep the painted gaps between lanes (a gore narrower than the car) from counting.
    """
    x, y, heading, _, width = ego_box.unbind(-1)
    across = width[:, None] * ego_box.new_tensor([0.0, 0.5, -0.5])
    x = x[:, None] - heading.sin()[:, None] * across
    y = y[:, None] + heading.cos()[:, None] * across
    off = ~area.contains(x, y, road)
    return off[:, 0] & (off[:, 1] | off[:, 2])


def _outcomes_compiled(
    station_m: Float[Tensor, " envs"],
    goal_m: Float[Tensor, " envs"],
    enough_m: Float[Tensor, " envs"],
    late: Bool[Tensor, " envs"],
    in_lane: Bool[Tensor, " envs"],
    wrong_way: Bool[Tensor, " envs"],
    lost: Bool[Tensor, " envs"],
    collided: Bool[Tensor, " envs"],
) -> Int[Tensor, " envs"]:
    outcome = torch.empty(len(station_m), dtype=torch.int64)
    termination_cpu.outcomes(
        station_m, goal_m, enough_m, late, in_lane, wrong_way, lost, collided, outcome,
        shared=(tuple(int(code) for code in Outcome),),
    )  # fmt: skip
    return outcome


@paired(
    _outcomes_compiled, termination_cpu.outcomes,
    when=lambda station_m, goal_m, *others: constant_float32(station_m, goal_m),
)  # fmt: skip
def outcomes(
    station_m: Float[Tensor, " envs"],
    goal_m: Float[Tensor, " envs"],
    enough_m: Float[Tensor, " envs"],
    late: Bool[Tensor, " envs"],
    in_lane: Bool[Tensor, " envs"],
    wrong_way: Bool[Tensor, " envs"],
    lost: Bool[Tensor, " envs"],
    collided: Bool[Tensor, " envs"],
) -> Int[Tensor, " envs"]:
    """``Outcome``; if several apply: collision, off the road, wrong way, then the end of the route.

    Args:
        station_m: how far along its route the ego is.
        goal_m: where the route ends.
        enough_m: at the last frame this is enough; inf where the time limit sets that frame.
        late: whether the last frame is reached.
        in_lane: whether the ego is in its goal's lane; True without one.
        wrong_way: whether it has faced against the route for too long.
        lost: whether it is off the road.
        collided: whether it touches another vehicle.
    """
    outcome = torch.full_like(station_m, int(Outcome.RUNNING), dtype=torch.int64)
    short = torch.where(enough_m.isinf(), int(Outcome.TIMEOUT), int(Outcome.STALLED))
    outcome = torch.where(late, short, outcome)
    there = (station_m >= goal_m) | (late & (station_m >= enough_m))
    arrived = torch.where(in_lane, int(Outcome.ARRIVED), int(Outcome.MISSED))
    outcome = torch.where(there, arrived, outcome)
    outcome = torch.where(wrong_way, int(Outcome.WRONG_WAY), outcome)
    outcome = torch.where(lost, int(Outcome.OFFROAD), outcome)
    return torch.where(collided, int(Outcome.COLLISION), outcome)
