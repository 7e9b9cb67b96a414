"""Vehicles replay the recording until the ego forces them to deviate from it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.driving.lane_order import NO_VEHICLE, LaneOrder
from ppuu.driving.occupied_lanes import flank_lane, two_lanes
from ppuu.geometry import wrap_angle
from ppuu.recordings.lanes import LanePlace

from .fleet import DEVIATION_M, Appearance, Rows, Situation
from .following import FollowingFleet

_LOOK_AHEAD_S = 1.5
"""Leaders are also those in the lane that the recorded path leads to within this time."""


class UntilDisturbed(FollowingFleet):
    """Replay, switched to IDM vehicle by vehicle.

    A vehicle is disturbed when a leader, the ego or a vehicle disturbed before, is not where it
    was recorded and IDM would brake harder behind it than is comfortable.  From then on the
    vehicle keeps to its recorded path at the speed of IDM, but never ahead of its recorded
    position; it is not switched back and leaves where its path ends.  (Switching per vehicle
    follows Huang et al., "Driving Behavior Modeling Using Naturalistic Human Driving Data With
    Inverse Reinforcement Learning", 2021.)

    As long as no vehicle is disturbed, this is the recording.  By design paths are known from the
    future here; the drivers' parameters and desired speeds are not.
    """

    def _further_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return {"path_m": zeros.clone()}

    def _initial_columns(self, entering: Appearance) -> Rows:
        """Replayed, unless they enter later than they were recorded."""
        return {"driven": entering.late, "path_m": torch.zeros_like(entering.state[:, 0])}

    def _drive(self, rows: Rows, now: Situation) -> None:
        vehicle, driven = rows["vehicle"].clamp(min=0), rows["driven"]
        place = self._places(now)
        lanes = self._occupied_lanes(now, place, place.lane)
        lanes, leader = self._leaders(rows, now, lanes, place)
        drivers = self.drivers.of(vehicle)
        _, acceleration = self._follow(now, place, leader, drivers)
        deviates = self._leader_deviates(rows, now, lanes, leader)
        comfortable = drivers.idm.comfortable_deceleration_mps2[..., None]
        forced = deviates & (acceleration < -comfortable)
        disturbed = ~driven & now.valid[:, :-1] & forced.any(-1)
        recorded = self._recorded_path_m(vehicle, now.frame[:, None] - 1)
        rows["path_m"] = torch.where(disturbed, recorded, rows["path_m"])
        rows["driven"] = driven | disturbed
        self._replay(rows, now.frame)
        self._advance_driven(rows, now, acceleration.amin(-1))

    def _leaders(
        self,
        rows: Rows,
        now: Situation,
        lanes: Int[Tensor, "envs vehicles 2"],
        place: LanePlace,
    ) -> tuple[Int[Tensor, "envs slots 3"], Int[Tensor, "envs slots 3"]]:
        """The lanes that each vehicle is in or moves to, and its leaders there."""
        vehicle = rows["vehicle"].clamp(min=0)
        look_ahead = round(_LOOK_AHEAD_S / self.scene.dt_s)
        aim = self.scene.state(vehicle, now.frame[:, None] - 1 + look_ahead)[..., :2]
        env, slot = (rows["driven"] & (rows["vehicle"] >= 0)).nonzero(as_tuple=True)
        path = rows["path_m"][env, slot] + _LOOK_AHEAD_S * now.speed_mps[env, slot]
        aim[env, slot] = self._on_path(vehicle[env, slot], path)[:, :2]
        target = self.field.look_up(aim[..., 0], aim[..., 1], now.road).lane
        own = lanes[:, :-1]
        changes = (rows["vehicle"] >= 0) & (target >= 0) & (target[..., None] != own).all(-1)
        order = LaneOrder.of(lanes, place.station_m)
        in_target = torch.full_like(target, NO_VEHICLE)
        env, slot = changes.nonzero(as_tuple=True)
        ahead, _ = order.around(env, target[env, slot], place.station_m[env, slot])
        in_target[env, slot] = ahead
        leader = torch.cat([order.leaders()[:, :-1], in_target[..., None]], dim=-1)
        return torch.cat([own, target[..., None]], dim=-1), leader

    def _leader_deviates(
        self,
        rows: Rows,
        now: Situation,
        lanes: Int[Tensor, "envs slots 3"],
        leader: Int[Tensor, "envs slots 3"],
    ) -> Bool[Tensor, "envs slots 3"]:
        """Whether a leader is further back than recorded, or in a lane where it was not."""
        scene, ego, boxes = self.scene, rows["ego"], now.boxes
        frame = now.frame[:, None] - 1
        lag = self._recorded_path_m(rows["vehicle"].clamp(min=0), frame) - rows["path_m"]
        behind = rows["driven"] & (lag > DEVIATION_M)
        human = scene.state(ego[:, None], frame)
        box = torch.cat([human[..., :3], boxes[:, -1:, 3:]], dim=-1)
        place = self.field.look_up(box[..., 0], box[..., 1], now.road)
        recorded_lanes = two_lanes(place.lane, flank_lane(self.field, box, place, now.road))
        displacement = human[:, 0, :2] - boxes[:, -1, :2]
        direction = place.direction_rad[:, 0]
        ego_lag = displacement[:, 0] * direction.cos() + displacement[:, 1] * direction.sin()
        ego_behind = (ego_lag > DEVIATION_M) | (frame[:, 0] > scene.last_frame[ego])
        elsewhere = (lanes[..., None] != recorded_lanes[:, None]).all(-1)
        envs = torch.arange(len(boxes), device=boxes.device)[:, None, None]
        last = boxes.shape[1] - 1
        return (leader != NO_VEHICLE) & torch.where(
            leader == last,
            ego_behind[:, None, None] | elsewhere,
            behind[envs, leader.clamp(0, last - 1)],
        )

    def _replay(self, rows: Rows, frame: Int[Tensor, " envs"]) -> None:
        """Puts undisturbed vehicles where they were recorded and removes those whose tracks end."""
        vehicle = rows["vehicle"].clamp(min=0)
        state = self.scene.state(vehicle, frame[:, None])
        replayed = ~rows["driven"]
        boxes = torch.cat([state[..., :3], rows["boxes"][..., 3:]], dim=-1)
        rows["boxes"] = torch.where(replayed[..., None], boxes, rows["boxes"])
        rows["speed_mps"] = torch.where(replayed, state[..., 3], rows["speed_mps"])
        gone = replayed & (frame[:, None] > self.scene.last_frame[vehicle])
        rows["vehicle"] = torch.where(gone, NO_VEHICLE, rows["vehicle"])

    def _advance_driven(
        self,
        rows: Rows,
        now: Situation,
        acceleration_mps2: Float[Tensor, "envs slots"],
    ) -> None:
        """Moves disturbed vehicles along their recorded paths."""
        env, slot = (rows["driven"] & (rows["vehicle"] >= 0)).nonzero(as_tuple=True)
        if not len(env):
            return
        dt_s, vehicle = self.scene.dt_s, rows["vehicle"][env, slot]
        frame, speed = now.frame[env], now.speed_mps[env, slot]
        new_speed = (speed + acceleration_mps2[env, slot] * dt_s).clamp(min=0.0)
        path = rows["path_m"][env, slot] + 0.5 * (speed + new_speed) * dt_s
        recorded = self._recorded_path_m(vehicle, frame)
        too_far = path > recorded
        path = torch.where(too_far, recorded, path)
        recorded_speed = self.scene.state(vehicle, frame)[:, 3]
        rows["path_m"][env, slot] = path
        rows["speed_mps"][env, slot] = torch.where(
            too_far, torch.minimum(new_speed, recorded_speed), new_speed
        )
        rows["boxes"][env, slot, :3] = self._on_path(vehicle, path)
        done = path >= self._recorded_path_m(vehicle, self.scene.last_frame[vehicle])
        rows["vehicle"][env[done], slot[done]] = NO_VEHICLE

    def _recorded_path_m(
        self, vehicle: Int[Tensor, "*batch"], frame: Int[Tensor, "*#batch"]
    ) -> Float[Tensor, "*batch"]:
        """Distance along a track from its beginning to its position at a frame."""
        first, last = self.scene.row_pointer[vehicle], self.scene.row_pointer[vehicle + 1] - 1
        row = first + (frame - self.scene.first_frame[vehicle]).clamp(min=0)
        return (self.scene.path_m[torch.minimum(row, last)] - self.scene.path_m[first]).float()

    def _on_path(
        self, vehicle: Int[Tensor, " n"], path_m: Float[Tensor, " n"]
    ) -> Float[Tensor, "n 3"]:
        """Pose at a distance along the track; beyond its end its last pose."""
        first, last = self.scene.row_pointer[vehicle], self.scene.row_pointer[vehicle + 1] - 1
        distance = self.scene.path_m[first] + path_m
        row = torch.searchsorted(self.scene.path_m, distance, right=True) - 1
        row = torch.maximum(torch.minimum(row, last), first)
        after = torch.minimum(row + 1, last)
        length = self.scene.path_m[after] - self.scene.path_m[row]
        fraction = (distance - self.scene.path_m[row]) / length.clamp(min=1e-6)
        fraction = fraction.clamp(0.0, 1.0).float()
        a, b = self.scene.states[row, :3], self.scene.states[after, :3]
        change = torch.cat([b[:, :2] - a[:, :2], wrap_angle(b[:, 2:] - a[:, 2:])], dim=1)
        return a + fraction[:, None] * change
