"""Everybody is driven by one policy: each vehicle takes its turn as ego, along the batch axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu import kinematics
from ppuu.perception.observation import Observation, observe
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.perception.surroundings import Surroundings
from ppuu.policies import Policy
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene

from .fleet import Fleet, Rows
from .lane_order import NOBODY

DECIDE_FRAMES = 3
"""A driver decides once in so many frames, each in his turn, and keeps to it: 0.3 s, the step that
policies are trained with."""
_AT_ONCE = 1024
"""Vehicles that decide in one batch, to bound the memory."""


class Everybody(Fleet):
    """One policy at every wheel but the ego's.

    Vehicles enter where, when and as fast as they were recorded, and leave at the end of their
    lane or where they have left the road.  Who runs into another drives on: the policy shows what
    it does.  A policy that remembers starts afresh at each decision.

    Args:
        scene: the recordings.
        roads: their roads, in the same order.
        policy: sees of each vehicle what it would see of an ego; nothing of the future.
    """

    def __init__(self, scene: Scene, roads: Sequence[Road], policy: Policy):
        self.policy = policy
        seen = self.seen = policy.observation
        self._ring = 1 if seen is None else seen.span + 1
        super().__init__(scene, roads)
        raster = RasterConfig() if seen is None else seen.raster
        self.road_map = RoadMap.build(roads, raster, scene.boxes.device)

    def _own_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        envs, slots = zeros.shape
        return {
            "past": zeros.new_zeros(envs, slots, self._ring, 4),
            "ego_past": zeros.new_zeros(envs, self._ring, 4),
            "action": zeros.new_full((envs, slots, 2), torch.nan),
        }

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """Everybody stands as recorded, the ego's past included."""
        super().reset(envs, ego, frame)
        past = self._before(ego, frame)
        self._rows["ego_past"] = self._rows["ego_past"].index_copy(0, envs, past)

    def _settle(
        self,
        vehicle: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        state: Float[Tensor, "n 4"],
        late: Bool[Tensor, " n"],
    ) -> Rows:
        """Driven, with the past that was recorded."""
        first = self.scene.first_frame[vehicle]
        return {
            "driven": torch.ones_like(late),
            "past": self._before(vehicle, torch.where(late, first, frame)),
            "action": state.new_full((len(state), 2), torch.nan),
        }

    def _before(
        self, vehicle: Int[Tensor, " n"], frame: Int[Tensor, " n"]
    ) -> Float[Tensor, "n ring 4"]:
        """States in the frames before one, straight on backwards where a track begins later."""
        lag = torch.arange(self._ring, 0, -1, device=frame.device)
        time = frame[:, None] - lag
        state = self.scene.state(vehicle[:, None].expand_as(time), time).clone()
        missing = (self.scene.first_frame[vehicle, None] - time).clamp(min=0) * self.scene.dt_s
        state[..., 0] -= missing * state[..., 3] * state[..., 2].cos()
        state[..., 1] -= missing * state[..., 3] * state[..., 2].sin()
        return state

    def _drive(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
    ) -> None:
        now = torch.cat([boxes[..., :3], speed_mps[..., None]], dim=-1)
        past = torch.cat([rows["past"], rows["ego_past"][:, None]], dim=1)
        past = torch.cat([past[:, :, 1:], now[:, :, None]], dim=2)
        rows["past"], rows["ego_past"] = past[:, :-1], past[:, -1]
        there, action = rows["vehicle"] >= 0, rows["action"]
        turn = (rows["vehicle"] + frame[:, None]) % DECIDE_FRAMES == 0
        env, slot = (there & (turn | action[..., 0].isnan())).nonzero(as_tuple=True)
        if len(env):
            action[env, slot] = self._decide(rows, road, boxes, past, env, slot)
        state = kinematics.step(now[:, :-1], action.nan_to_num(), self.scene.dt_s)
        rows["boxes"] = torch.cat([state[..., :3], boxes[:, :-1, 3:]], dim=-1)
        rows["speed_mps"] = state[..., 3]
        place = self.field.look_up(state[..., 0], state[..., 1], road)
        gone = (place.to_end_m <= 0.0) & ~place.closes | (place.width_m <= 0.0)
        rows["vehicle"] = torch.where(gone, NOBODY, rows["vehicle"])

    @torch.no_grad()
    def _decide(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        past: Float[Tensor, "envs vehicles ring 4"],
        env: Int[Tensor, " n"],
        slot: Int[Tensor, " n"],
    ) -> Float[Tensor, "n 2"]:
        """What the policy does at some of the wheels."""
        scene = _recent(rows, road, boxes, past, self.scene.dt_s)
        vehicle = env * boxes.shape[1] + slot
        frame = env * self._ring + self._ring - 1
        parts = []
        for few, when in zip(vehicle.split(_AT_ONCE), frame.split(_AT_ONCE), strict=True):
            others = scene.neighbours(when, few)
            around = Surroundings(
                scene, few, when, others.boxes, others.speed_mps, others.valid, self.road_map
            )
            self.policy.reset(torch.ones_like(few, dtype=torch.bool))
            parts.append(self.policy.act(self._observe(scene, few, when), around))
        return torch.cat(parts)

    def _observe(
        self, scene: Scene, vehicle: Int[Tensor, " n"], frame: Int[Tensor, " n"]
    ) -> Observation:
        if self.seen is not None:
            return observe(scene, self.road_map, self.seen, vehicle, frame)
        state = scene.state(vehicle, frame)
        return Observation(
            state.new_zeros(len(state), 1, 3, 0, 0), state[:, None], scene.size_m[vehicle]
        )


def _recent(
    rows: Rows,
    road: Int[Tensor, " envs"],
    boxes: Float[Tensor, "envs vehicles 5"],
    past: Float[Tensor, "envs vehicles ring 4"],
    dt_s: float,
) -> Scene:
    """The recent past of all environments as one scene: so whatever draws scenes can draw it.

    Environment ``e`` has the frames from ``e * ring`` on and the vehicles from ``e * vehicles``
    on, the ego last.
    """
    envs, vehicles, ring, _ = past.shape
    number = torch.arange(envs * vehicles, device=past.device)
    there = torch.nn.functional.pad(rows["vehicle"] >= 0, (0, 1), value=True)
    occupant = torch.where(there, number.view(envs, vehicles), NOBODY)
    at_times = past.transpose(1, 2)
    size = boxes[:, None, :, 3:].expand(-1, ring, -1, -1)
    return Scene(
        boxes=torch.cat([at_times[..., :3], size], dim=-1).flatten(0, 1),
        speed_mps=at_times[..., 3].flatten(0, 1),
        occupant=occupant.repeat_interleave(ring, dim=0),
        states=past.flatten(0, 2),
        row_pointer=torch.arange(envs * vehicles + 1, device=past.device) * ring,
        first_frame=number // vehicles * ring,
        size_m=boxes[..., 3:].flatten(0, 1),
        vehicle_recording=road.repeat_interleave(vehicles),
        frame_offset=number.new_tensor([0, envs * ring]),
        vehicle_offset=number.new_tensor([0, envs * vehicles]),
        dt_s=dt_s,
    )
