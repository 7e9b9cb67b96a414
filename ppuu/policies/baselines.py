"""Baselines without learning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..driving.gaps import bumper_gap_m
from ..driving.idm import IdmParameters, unlimited_idm_acceleration
from ..geometry import to_local
from ..kinematics import ActionBounds, infer_actions
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


class RecordedHuman(Policy):
    """Follows the recorded track of the vehicle that the ego replaces."""

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The action that leads to where the human was one frame later."""
        now = observation.ego[:, -1].double()
        then = privileged_state.scene.state(
            privileged_state.vehicle, privileged_state.frame + 1
        ).double()
        positions = torch.stack([now[:, :2], then[:, :2]], dim=1)
        bounds = ActionBounds()
        actions, _ = infer_actions(
            positions,
            now[:, 2],
            now[:, 3],
            privileged_state.scene.dt_s,
            bounds.acceleration_mps2,
            bounds.curvature_radpm,
        )
        return actions[:, 0].float()


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
