"""Everybody replays the recording until the ego forces him to deviate from it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.geometry import wrap_angle
from ppuu.recordings.lanes import LanePlace

from .fleet import STRAYED_M, Fleet, Rows
from .lane_order import NOBODY, LaneOrder, flank_lane, gap_to, two_lanes

_FORESIGHT_S = 1.5
"""A driver looks also into the lane that his recorded path leads to within this."""


class UntilDisturbed(Fleet):
    """Replay, handed over to IDM vehicle by vehicle.

    A vehicle is handed over when somebody ahead in its way is not where he was recorded, the
    ego or one who was handed over before, and IDM would brake harder behind him than is
    comfortable.  From then on it keeps to its recorded path, IDM decides how fast, and it is
    never handed back; nor does it ever get ahead of its recorded self.  It leaves where its path
    ends.  (The idea of switching per vehicle is that of Huang et al., "Driving Behavior Modeling
    Using Naturalistic Human Driving Data With Inverse Reinforcement Learning", 2021.)

    As long as nobody is disturbed, this is the recording.
    """

    def _own_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return {"path_m": zeros.clone()}

    def _settle(
        self,
        vehicle: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        state: Float[Tensor, "n 4"],
        late: Bool[Tensor, " n"],
    ) -> Rows:
        """Replayed, unless they enter later than they were recorded."""
        return {"driven": late, "path_m": torch.zeros_like(state[:, 0])}

    def _drive(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
    ) -> None:
        now = (frame - 1)[:, None]
        vehicle, driven = rows["vehicle"].clamp(min=0), rows["driven"]
        place = self.field.look_up(boxes[..., 0], boxes[..., 1], road)
        lanes = two_lanes(place.lane, flank_lane(self.field, boxes, place, road))
        there = torch.nn.functional.pad(rows["vehicle"] >= 0, (0, 1), value=True)
        lanes = torch.where(there[..., None], lanes, -1)
        order = LaneOrder.of(lanes, place.station_m)
        lanes, leader = self._all_leaders(rows, now, road, order, lanes, place, speed_mps)
        wanted = self._follow(rows, boxes, speed_mps, place, leader)
        strayed = self._leader_strayed(rows, now, road, boxes, lanes, leader)
        forced = strayed & (wanted < -self.idm.comfortable_braking_mps2)
        disturbed = ~driven & there[:, :-1] & forced.any(-1)
        recorded = self._recorded_path_m(vehicle, now)
        rows["path_m"] = torch.where(disturbed, recorded, rows["path_m"])
        rows["driven"] = driven | disturbed
        self._replay(rows, frame)
        self._advance_driven(rows, frame, speed_mps, wanted.amin(-1))

    def _all_leaders(
        self,
        rows: Rows,
        now: Int[Tensor, "envs 1"],
        road: Int[Tensor, " envs"],
        order: LaneOrder,
        lanes: Int[Tensor, "envs vehicles 2"],
        place: LanePlace,
        speed_mps: Float[Tensor, "envs vehicles"],
    ) -> tuple[Int[Tensor, "envs slots 3"], Int[Tensor, "envs slots 3"]]:
        """The lanes that each vehicle is in or on its way to, and who is ahead there."""
        vehicle = rows["vehicle"].clamp(min=0)
        aim = self.scene.state(vehicle, now + round(_FORESIGHT_S / self.scene.dt_s))[..., :2]
        env, slot = (rows["driven"] & (rows["vehicle"] >= 0)).nonzero(as_tuple=True)
        further = rows["path_m"][env, slot] + _FORESIGHT_S * speed_mps[env, slot]
        aim[env, slot] = self._on_path(vehicle[env, slot], further)[:, :2]
        goal = self.field.look_up(aim[..., 0], aim[..., 1], road).lane
        own = lanes[:, :-1]
        elsewhere = (rows["vehicle"] >= 0) & (goal >= 0) & (goal[..., None] != own).all(-1)
        third = torch.full_like(goal, NOBODY)
        env, slot = elsewhere.nonzero(as_tuple=True)
        ahead, _ = order.around(env, goal[env, slot], place.station_m[env, slot])
        third[env, slot] = ahead
        leader = torch.cat([order.leaders()[:, :-1], third[..., None]], dim=-1)
        return torch.cat([own, goal[..., None]], dim=-1), leader

    def _follow(
        self,
        rows: Rows,
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
        place: LanePlace,
        leader: Int[Tensor, "envs slots 3"],
    ) -> Float[Tensor, "envs slots 3"]:
        """What IDM would do behind each leader."""
        envs = torch.arange(len(boxes), device=boxes.device)[:, None, None]
        gap = gap_to(boxes, place.direction_rad, leader)
        return self.idm.acceleration(
            speed_mps[:, :-1, None],
            self.desired_mps[rows["vehicle"].clamp(min=0)][..., None],
            gap,
            speed_mps[envs, leader.clamp(min=0)],
        )

    def _leader_strayed(
        self,
        rows: Rows,
        now: Int[Tensor, "envs 1"],
        road: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        lanes: Int[Tensor, "envs slots 3"],
        leader: Int[Tensor, "envs slots 3"],
    ) -> Bool[Tensor, "envs slots 3"]:
        """Whether a leader is further back than recorded, or in a lane where he was not."""
        scene, ego = self.scene, rows["ego"]
        behind = self._recorded_path_m(rows["vehicle"].clamp(min=0), now) - rows["path_m"]
        behind = rows["driven"] & (behind > STRAYED_M)
        human = scene.state(ego[:, None], now)
        box = torch.cat([human[..., :3], boxes[:, -1:, 3:]], dim=-1)
        place = self.field.look_up(box[..., 0], box[..., 1], road)
        its_lanes = two_lanes(place.lane, flank_lane(self.field, box, place, road))
        way = human[:, 0, :2] - boxes[:, -1, :2]
        direction = place.direction_rad[:, 0]
        lag = way[:, 0] * direction.cos() + way[:, 1] * direction.sin()
        lags = (lag > STRAYED_M) | (now[:, 0] > scene.last_frame[ego])
        ego_strayed = lags[:, None, None] | (lanes[..., None] != its_lanes[:, None]).all(-1)
        envs = torch.arange(len(boxes), device=boxes.device)[:, None, None]
        last = boxes.shape[1] - 1
        other_strayed = behind[envs, leader.clamp(0, last - 1)]
        return (leader != NOBODY) & torch.where(leader == last, ego_strayed, other_strayed)

    def _replay(self, rows: Rows, frame: Int[Tensor, " envs"]) -> None:
        """Puts the undisturbed where they were recorded; those whose tracks end are gone."""
        vehicle = rows["vehicle"].clamp(min=0)
        state = self.scene.state(vehicle, frame[:, None])
        replayed = ~rows["driven"]
        boxes = torch.cat([state[..., :3], rows["boxes"][..., 3:]], dim=-1)
        rows["boxes"] = torch.where(replayed[..., None], boxes, rows["boxes"])
        rows["speed_mps"] = torch.where(replayed, state[..., 3], rows["speed_mps"])
        gone = replayed & (frame[:, None] > self.scene.last_frame[vehicle])
        rows["vehicle"] = torch.where(gone, NOBODY, rows["vehicle"])

    def _advance_driven(
        self,
        rows: Rows,
        frame: Int[Tensor, " envs"],
        speed_mps: Float[Tensor, "envs vehicles"],
        wanted: Float[Tensor, "envs slots"],
    ) -> None:
        """Moves those who were handed over along their recorded paths."""
        env, slot = (rows["driven"] & (rows["vehicle"] >= 0)).nonzero(as_tuple=True)
        if not len(env):
            return
        dt_s, vehicle = self.scene.dt_s, rows["vehicle"][env, slot]
        speed = speed_mps[env, slot]
        faster = (speed + wanted[env, slot] * dt_s).clamp(min=0.0)
        path = rows["path_m"][env, slot] + 0.5 * (speed + faster) * dt_s
        recorded = self._recorded_path_m(vehicle, frame[env])
        too_far = path > recorded
        path = torch.where(too_far, recorded, path)
        at_recorded = self.scene.state(vehicle, frame[env])[:, 3]
        rows["path_m"][env, slot] = path
        rows["speed_mps"][env, slot] = torch.where(
            too_far, torch.minimum(faster, at_recorded), faster
        )
        rows["boxes"][env, slot, :3] = self._on_path(vehicle, path)
        done = path >= self._recorded_path_m(vehicle, self.scene.last_frame[vehicle])
        rows["vehicle"][env[done], slot[done]] = NOBODY

    def _recorded_path_m(
        self, vehicle: Int[Tensor, "*batch"], frame: Int[Tensor, "*#batch"]
    ) -> Float[Tensor, "*batch"]:
        """Way from the beginning of a track to where it is at a frame."""
        first, last = self.scene.row_pointer[vehicle], self.scene.row_pointer[vehicle + 1] - 1
        row = first + (frame - self.scene.first_frame[vehicle]).clamp(min=0)
        return (self.scene.path_m[torch.minimum(row, last)] - self.scene.path_m[first]).float()

    def _on_path(
        self, vehicle: Int[Tensor, " n"], path_m: Float[Tensor, " n"]
    ) -> Float[Tensor, "n 3"]:
        """Pose after so much way along the track, its last pose beyond the end."""
        first, last = self.scene.row_pointer[vehicle], self.scene.row_pointer[vehicle + 1] - 1
        way = self.scene.path_m[first] + path_m
        row = torch.searchsorted(self.scene.path_m, way, right=True) - 1
        row = torch.maximum(torch.minimum(row, last), first)
        after = torch.minimum(row + 1, last)
        length = self.scene.path_m[after] - self.scene.path_m[row]
        share = ((way - self.scene.path_m[row]) / length.clamp(min=1e-6)).clamp(0.0, 1.0).float()
        a, b = self.scene.states[row, :3], self.scene.states[after, :3]
        change = torch.cat([b[:, :2] - a[:, :2], wrap_angle(b[:, 2:] - a[:, 2:])], dim=1)
        return a + share[:, None] * change
