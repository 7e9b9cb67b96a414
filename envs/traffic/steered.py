"""Vehicles that decide now and then, from the recent past, and keep an action in between."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu import kinematics
from ppuu.driving.lane_order import NO_VEHICLE
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene

from .fleet import Appearance, Fleet, Rows, Situation, is_past_its_lane


class SteeredFleet(Fleet):
    """All vehicles but the ego are moved by the kinematics of the ego.

    Vehicles enter where, when and as fast as they were recorded, and leave at the end of their
    lane or off the road.  Vehicles that collide drive on.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.
        past_frames: states that are remembered of each vehicle, the present one included.
    """

    def __init__(self, scene: Scene, recordings: Sequence[Recording], past_frames: int):
        self._ring = past_frames
        super().__init__(scene, recordings)

    @abstractmethod
    def _turns(self, rows: Rows, now: Situation) -> Bool[Tensor, "envs #slots"]:
        """Whose turn it is to decide; vehicles without an action decide anyway."""

    @abstractmethod
    def _decide(
        self,
        rows: Rows,
        now: Situation,
        past: Float[Tensor, "envs vehicles past 4"],
        env: Int[Tensor, " n"],
        slot: Int[Tensor, " n"],
    ) -> Float[Tensor, "n 2"]:
        """Accelerations and curvatures of some of the vehicles.

        Args:
            rows: the tables.
            now: all vehicles, the ego last.
            past: states of all of them, the present one last.
            env, slot: the vehicles that decide.
        """

    def _further_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        envs, slots = zeros.shape
        return {
            "past": zeros.new_zeros(envs, slots, self._ring, 4),
            "ego_past": zeros.new_zeros(envs, self._ring, 4),
            "action": zeros.new_full((envs, slots, 2), torch.nan),
        }

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """All vehicles are where they were recorded, with the recorded past, the ego's included."""
        super().reset(envs, ego, frame)
        past = self._before(ego, frame)
        self._rows["ego_past"] = self._rows["ego_past"].index_copy(0, envs, past)

    def _initial_columns(self, entering: Appearance) -> Rows:
        """Driven, with the recorded past."""
        first = self.scene.first_frame[entering.vehicle]
        frame = torch.where(entering.late, first, entering.frame)
        return {
            "driven": torch.ones_like(entering.late),
            "past": self._before(entering.vehicle, frame),
            "action": entering.state.new_full((len(first), 2), torch.nan),
        }

    def _before(
        self, vehicle: Int[Tensor, " n"], frame: Int[Tensor, " n"]
    ) -> Float[Tensor, "n past 4"]:
        """States in the frames before one, extrapolated backwards before the track begins."""
        lag = torch.arange(self._ring, 0, -1, device=frame.device)
        time = frame[:, None] - lag
        state = self.scene.state(vehicle[:, None].expand_as(time), time).clone()
        missing = (self.scene.first_frame[vehicle, None] - time).clamp(min=0) * self.scene.dt_s
        state[..., 0] -= missing * state[..., 3] * state[..., 2].cos()
        state[..., 1] -= missing * state[..., 3] * state[..., 2].sin()
        return state

    def _drive(self, rows: Rows, now: Situation) -> None:
        states = torch.cat([now.boxes[..., :3], now.speed_mps[..., None]], dim=-1)
        past = torch.cat([rows["past"], rows["ego_past"][:, None]], dim=1)
        past = torch.cat([past[:, :, 1:], states[:, :, None]], dim=2)
        rows["past"], rows["ego_past"] = past[:, :-1], past[:, -1]
        action = rows["action"]
        decides = self._turns(rows, now) | action[..., 0].isnan()
        env, slot = (now.valid[:, :-1] & decides).nonzero(as_tuple=True)
        if len(env):
            action[env, slot] = self._decide(rows, now, past, env, slot)
        state = kinematics.step(states[:, :-1], action.nan_to_num(), self.scene.dt_s)
        rows["boxes"] = torch.cat([state[..., :3], now.boxes[:, :-1, 3:]], dim=-1)
        rows["speed_mps"] = state[..., 3]
        place = self.field.look_up(state[..., 0], state[..., 1], now.road)
        rows["vehicle"] = torch.where(is_past_its_lane(place), NO_VEHICLE, rows["vehicle"])
