"""Everybody is driven from the start: IDM behind whoever is ahead, MOBIL across the lanes."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu import kinematics
from ppuu.geometry import wrap_angle
from ppuu.recordings.lanes import LanePlace

from .fleet import Fleet, Rows
from .lane_order import NOBODY, LaneOrder, flank_lane, gap_between, gap_to, two_lanes

_CHANGE_S = 5.0
_CHANGE_M = 25.0
"""A lane change takes so long, and at least so much way: nobody moves sideways while standing."""
_REST_S = 8.0
"""After a lane change the next one is not before this."""
_SETTLE_S = 3.0
"""Who has just entered stays in his lane so long: he cannot see who enters behind him."""
_DECIDE_FRAMES = 5
"""Each driver thinks of a lane change once in so many frames, of left and right in turn."""
_POLITENESS = 0.2
_THRESHOLD_MPS2 = 0.4
_MERGE_MPS2 = 10.0
_SAFE_BRAKING_MPS2 = 2.0
_URGENT_BRAKING_MPS2 = 3.5
_URGENT_M = 150.0
"""So near to the end of a lane drivers look for gaps that others have to brake for."""
_SMALLEST_GAP_M = 1.5
_SMALLEST_GAP_S = 0.15
_SLOWEST_MPS = 3.0
"""In a queue that hardly moves nobody changes lanes, unless his lane ends."""

_STEERING_RADPS = 0.8
"""Natural frequency, critically damped, with which drivers steer back to their line."""
_SHORTEST_STEERING_M = 6.0
_LATERAL_MPS2 = 3.0
_CURVATURE_RADPM = 0.065
_FORESIGHT_S = 1.5
"""Who appears drifting sideways wants to go to the lane that he will be in after this."""


class Reactive(Fleet):
    """IDM (Treiber et al., 2000) and MOBIL (Kesting, Treiber and Helbing, 2007), for all.

    Nobody knows the future: the recording says only who enters, where, when and how fast, and
    its highest speed is taken for the speed that the driver likes.  Vehicles leave where their
    lane leads off the road.

    A lane change moves the line that a driver follows from one lane's centre to the next, by a
    polynomial of fifth degree; he steers along it as the kinematic ego would.
    """

    def _own_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return {"shift_m": zeros, "progress": zeros + 1.0, "rest_s": zeros.clone()}

    def _settle(
        self,
        vehicle: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        state: Float[Tensor, "n 4"],
        late: Bool[Tensor, " n"],
    ) -> Rows:
        """Driven, and in the lane change that the recorded motion shows."""
        road = self.scene.vehicle_recording[vehicle]
        x, y, heading, speed = state.unbind(1)
        place = self.field.look_up(x, y, road)
        turned = wrap_angle(heading - place.direction_rad)
        drift = speed * turned.sin() * _FORESIGHT_S
        drift = torch.minimum(drift.abs(), 0.75 * place.width_m) * drift.sign()
        sin, cos = place.direction_rad.sin(), place.direction_rad.cos()
        aim = self.field.look_up(x - drift * sin, y + drift * cos, road)
        since = (frame - self.scene.first_frame[vehicle]) * self.scene.dt_s
        changes = (aim.lane >= 0) & (place.lane >= 0) & (aim.lane != place.lane) & ~aim.closes
        return {
            "driven": torch.ones_like(late),
            "shift_m": torch.where(changes, drift - aim.offset_m, 0.0),
            "progress": torch.where(changes, 0.0, 1.0),
            "rest_s": (_SETTLE_S - torch.where(late, 0.0, since)).clamp(min=0.0),
        }

    def _drive(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
    ) -> None:
        place = self.field.look_up(boxes[..., 0], boxes[..., 1], road)
        line = self._line(rows, road, boxes, place)
        present = rows["vehicle"] >= 0
        everybody = torch.cat([present, present.new_ones(len(present), 1)], dim=1)
        first = torch.cat([line.lane, place.lane[:, -1:]], dim=1)
        lanes = two_lanes(first, place.lane, flank_lane(self.field, boxes, place, road))
        order = LaneOrder.of(torch.where(everybody[..., None], lanes, -1), place.station_m)
        desired = self.desired_mps[
            torch.cat([rows["vehicle"].clamp(min=0), rows["ego"][:, None]], 1)
        ]
        wanted = self._follow(order, boxes, speed_mps, desired, place)
        self._stop_where_lanes_close(wanted, line, boxes, speed_mps, desired)
        self._change_lanes(rows, frame, road, order, place, line, boxes, speed_mps, desired, wanted)
        self._move(rows, line, boxes, speed_mps, wanted)
        gone = (place.to_end_m <= 0.0) & ~place.closes | (place.width_m <= 0.0)
        rows["vehicle"] = torch.where(gone[:, :-1], NOBODY, rows["vehicle"])

    def _line(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        place: LanePlace,
    ) -> LanePlace:
        """Where each driver stands, moved sideways by what is left of his lane change.

        Seen from there, the line that he follows is the lane's centre line.
        """
        left = rows["shift_m"] * (1.0 - _smooth(rows["progress"])[0])
        direction = place.direction_rad[:, :-1]
        x = boxes[:, :-1, 0] - left * direction.sin()
        y = boxes[:, :-1, 1] + left * direction.cos()
        return self.field.look_up(x, y, road)

    def _follow(
        self,
        order: LaneOrder,
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
        desired_mps: Float[Tensor, "envs vehicles"],
        place: LanePlace,
    ) -> Float[Tensor, "envs vehicles"]:
        """IDM behind the leaders in both lanes."""
        leader = order.leaders()
        gap = gap_to(boxes, place.direction_rad, leader)
        envs = torch.arange(len(boxes), device=boxes.device)[:, None, None]
        wanted = self.idm.acceleration(
            speed_mps[..., None], desired_mps[..., None], gap,
            speed_mps[envs, leader.clamp(min=0)],
        )  # fmt: skip
        # Side by side in a lane, the one behind falls back, but gently.
        gentle = wanted.clamp(min=-self.idm.comfortable_braking_mps2)
        return torch.where(gap < 0, gentle, wanted).amin(-1)

    def _stop_where_lanes_close(
        self,
        wanted: Float[Tensor, "envs vehicles"],
        line: LanePlace,
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
        desired_mps: Float[Tensor, "envs vehicles"],
    ) -> None:
        """The end of a lane is like the end of a queue."""
        room = torch.where(line.closes, line.to_end_m - 0.5 * boxes[:, :-1, 3], torch.inf)
        stop = self.idm.acceleration(
            speed_mps[:, :-1], desired_mps[:, :-1], room, torch.zeros_like(room)
        )
        wanted[:, :-1] = torch.minimum(wanted[:, :-1], stop)

    def _change_lanes(
        self,
        rows: Rows,
        frame: Int[Tensor, " envs"],
        road: Int[Tensor, " envs"],
        order: LaneOrder,
        place: LanePlace,
        line: LanePlace,
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
        desired_mps: Float[Tensor, "envs vehicles"],
        wanted: Float[Tensor, "envs vehicles"],
    ) -> None:
        """Starts the lane changes that pay and that nobody has to brake hard for.

        At one frame all changes of an environment go to the same side, so that no two drivers
        take the same gap from both sides.
        """
        vehicle, must = rows["vehicle"], line.closes
        turn = (vehicle + frame[:, None]) % _DECIDE_FRAMES == 0
        ready = (vehicle >= 0) & turn & (rows["progress"] >= 1.0) & (line.lane >= 0)
        ready &= must | ((speed_mps[:, :-1] > _SLOWEST_MPS) & (rows["rest_s"] <= 0.0))
        env, slot = ready.nonzero(as_tuple=True)
        if not len(env):
            return
        side = 1 - 2 * ((frame[env] // _DECIDE_FRAMES) % 2)
        step = side * place.width_m[env, slot]
        direction = place.direction_rad[env, slot]
        box, must = boxes[env, slot], must[env, slot]
        target = self.field.look_up(
            box[:, 0] - step * direction.sin(), box[:, 1] + step * direction.cos(), road[env]
        )
        ahead, behind = order.around(env, target.lane, target.station_m)

        def response(follower, leader, direction_rad):
            there = (follower != NOBODY) & (leader != NOBODY)
            follower, leader = follower.clamp(min=0), leader.clamp(min=0)
            gap = gap_between(boxes[env, follower], direction_rad, boxes[env, leader])
            gap = torch.where(there, gap, torch.inf)
            speed = speed_mps[env, follower]
            enough = gap > _SMALLEST_GAP_M + _SMALLEST_GAP_S * speed
            does = self.idm.acceleration(
                speed, desired_mps[env, follower], gap, speed_mps[env, leader]
            )
            return does, enough

        own, room_ahead = response(slot, ahead, direction)
        theirs, room_behind = response(behind, slot, direction)
        urgency = (1.0 - line.to_end_m[env, slot] / _URGENT_M).clamp(0.0, 1.0) * must
        limit = -_SAFE_BRAKING_MPS2 - urgency * (_URGENT_BRAKING_MPS2 - _SAFE_BRAKING_MPS2)
        alone = behind == NOBODY
        loss = (wanted[env, behind.clamp(min=0)] - theirs).clamp(min=0.0)
        gain = own - wanted[env, slot] - _POLITENESS * torch.where(alone, 0.0, loss)
        goes = (gain + _MERGE_MPS2 * must > _THRESHOLD_MPS2) & room_ahead & room_behind
        goes &= (own > limit) & (alone | (theirs > limit))
        goes &= (target.lane >= 0) & (target.lane != line.lane[env, slot]) & ~target.closes
        env, slot = env[goes], slot[goes]
        rows["shift_m"][env, slot] = (step - target.offset_m)[goes]
        rows["progress"][env, slot] = 0.0
        rows["rest_s"][env, slot] = _CHANGE_S + _REST_S

    def _move(
        self,
        rows: Rows,
        line: LanePlace,
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
        wanted: Float[Tensor, "envs vehicles"],
    ) -> None:
        """One step of everybody along his line."""
        dt_s = self.scene.dt_s
        speed, wanted = speed_mps[:, :-1], wanted[:, :-1]
        way = 0.5 * (speed + (speed + wanted * dt_s).clamp(min=0.0)) * dt_s
        progress = rows["progress"]
        pace = torch.minimum(torch.full_like(way, dt_s / _CHANGE_S), way / _CHANGE_M)
        pace = torch.minimum(pace, 1.0 - progress)
        per_metre = torch.where(way > 1e-3, pace / way.clamp(min=1e-3), 0.0)
        _, slope, bend = _smooth(progress)
        heading = torch.atan(rows["shift_m"] * slope * per_metre)
        curvature = rows["shift_m"] * bend * per_metre**2 + line.curvature_radpm
        stiff = (_STEERING_RADPS / speed.clamp(min=1e-3)).clamp(max=1.0 / _SHORTEST_STEERING_M)
        turned = wrap_angle(boxes[:, :-1, 2] - line.direction_rad)
        curvature = curvature - stiff**2 * line.offset_m - 2.0 * stiff * (turned - heading)
        largest = (_LATERAL_MPS2 / speed.clamp(min=1.0) ** 2).clamp(max=_CURVATURE_RADPM)
        curvature = torch.minimum(torch.maximum(curvature, -largest), largest)
        state = torch.cat([boxes[:, :-1, :3], speed[..., None]], dim=-1)
        state = kinematics.step(state, torch.stack([wanted, curvature], dim=-1), dt_s)
        rows["boxes"] = torch.cat([state[..., :3], boxes[:, :-1, 3:]], dim=-1)
        rows["speed_mps"] = state[..., 3]
        rows["progress"] = progress + pace
        rows["rest_s"] = (rows["rest_s"] - dt_s).clamp(min=0.0)


def _smooth(
    share: Float[Tensor, "*batch"],
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """From 0 to 1 without a kink at either end, with both derivatives."""
    value = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
    slope = 30.0 * share**2 * (1.0 - share) ** 2
    bend = 60.0 * share * (1.0 - share) * (1.0 - 2.0 * share)
    return value, slope, bend
