"""Baselines without learning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..driving.gaps import bumper_gap_m
from ..driving.idm import IdmParameters, unlimited_idm_acceleration
from ..geometry import to_local
from ..kinematics import ActionBounds
from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from .base import Policy


class NoAction(Policy):
    """Zero acceleration and curvature."""

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Zeros."""
        return observation.ego.new_zeros(len(observation.ego), 2)


_LOOK_AHEAD_M = 2.0
_LOOK_AHEAD_FRAMES = (-15, 31)
"""Recorded frames among which there is a point so far ahead, for an ego that keeps up."""


class RecordedHuman(Policy):
    """Follows the recorded track of the vehicle that the ego replaces.

    The acceleration is the one that leads to where the human was a frame later; steering is pure
    pursuit (Coulter, 1992) of the recorded path, since wheels that take time to turn cannot correct
    an error within a frame.
    """

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Speed towards where the human was one frame later, curvature towards the path ahead."""
        scene, now = privileged_state.scene, observation.ego[:, -1].double()
        lag = torch.arange(*_LOOK_AHEAD_FRAMES, device=now.device)
        frames = privileged_state.frame[:, None] + lag
        track = scene.state(privileged_state.vehicle[:, None].expand_as(frames), frames)
        track = to_local(track[..., :3].double(), now[:, None, :3])
        next_frame = 1 - _LOOK_AHEAD_FRAMES[0]
        target_speed = (track[:, next_frame, 0] / scene.dt_s).clamp(min=0.0)
        acceleration = (target_speed - now[:, 3]) / scene.dt_s
        reached = track[..., 0] >= _LOOK_AHEAD_M
        reached[:, -1] = True
        row = torch.arange(len(now), device=now.device)
        ahead = track[row, reached.int().argmax(1)]
        square = ahead[:, :2].square().sum(1).clamp(min=_LOOK_AHEAD_M**2)
        curvature = 2.0 * ahead[:, 1] / square
        return ActionBounds().clamp(torch.stack([acceleration, curvature], dim=-1)).float()


@dataclass(frozen=True)
class StraightIdm(Policy):
    """The Intelligent Driver Model (Treiber et al., 2000) behind the vehicle straight ahead.

    Attributes:
        desired_speed_mps: on an empty road.
        headway_s: time gap.
        standstill_gap_m: gap in a queue.
        acceleration_mps2: largest.
        braking_mps2: comfortable.
        side_margin_m: a vehicle is ahead if its flank comes closer than this to the ego's path.
    """

    desired_speed_mps: float = 30.0
    headway_s: float = 1.0
    standstill_gap_m: float = 2.0
    acceleration_mps2: float = 1.5
    braking_mps2: float = 2.0
    side_margin_m: float = 0.3

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """IDM along the present heading, no steering."""
        ego = observation.ego[:, -1]
        others = to_local(privileged_state.boxes, ego[:, None, :3])
        length, width = observation.size_m[:, 0:1], observation.size_m[:, 1:2]
        turned = others[..., 2]
        half_width = 0.5 * (
            others[..., 4] * turned.cos().abs() + others[..., 3] * turned.sin().abs()
        )
        beside = others[..., 1].abs() - half_width - 0.5 * width
        gap = bumper_gap_m(others[..., 0], others[..., 3], length)
        leads = privileged_state.valid & (beside < self.side_margin_m) & (others[..., 0] > 0)
        gap = torch.where(leads, gap, torch.inf)
        gap, leader = gap.min(dim=1)
        leader_speed = privileged_state.speed_mps.gather(1, leader[:, None])[:, 0]
        parameters = IdmParameters(
            self.desired_speed_mps,
            self.headway_s,
            self.standstill_gap_m,
            self.acceleration_mps2,
            self.braking_mps2,
        )
        acceleration = unlimited_idm_acceleration(parameters, ego[:, 3], gap, leader_speed)
        return ActionBounds().clamp(
            torch.stack([acceleration, torch.zeros_like(acceleration)], dim=-1)
        )
