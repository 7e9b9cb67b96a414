"""Baselines without learning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..geometry import to_local
from ..kinematics import ActionBounds, infer_actions
from ..perception.observation import Observation
from ..perception.surroundings import Surroundings
from .base import Policy


class NoAction(Policy):
    """Zero acceleration and curvature."""

    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """Zeros."""
        return observation.ego.new_zeros(len(observation.ego), 2)


class RecordedHuman(Policy):
    """Follows the recorded track of the vehicle that the ego replaces."""

    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """The action that leads to the recorded position one frame later."""
        current = observation.ego[:, -1].double()
        target = surroundings.scene.state(surroundings.vehicle, surroundings.frame + 1).double()
        positions = torch.stack([current[:, :2], target[:, :2]], dim=1)
        bounds = ActionBounds()
        actions, _ = infer_actions(
            positions,
            current[:, 2],
            current[:, 3],
            surroundings.scene.dt_s,
            bounds.acceleration_mps2,
            bounds.curvature_radpm,
        )
        return actions[:, 0].float()


@dataclass(frozen=True)
class StraightIdm(Policy):
    """The Intelligent Driver Model (Treiber et al., 2000) behind whoever is straight ahead.

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

    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """IDM along the present heading, no steering."""
        ego = observation.ego[:, -1]
        others = to_local(surroundings.boxes, ego[:, None, :3])
        length, width = observation.size_m[:, 0:1], observation.size_m[:, 1:2]
        turned = others[..., 2]
        half_width = 0.5 * (
            others[..., 4] * turned.cos().abs() + others[..., 3] * turned.sin().abs()
        )
        beside = others[..., 1].abs() - half_width - 0.5 * width
        gap = others[..., 0] - 0.5 * (others[..., 3] + length)
        leads = surroundings.visible & (beside < self.side_margin_m) & (others[..., 0] > 0)
        gap = torch.where(leads, gap, torch.inf)
        gap, leader = gap.min(dim=1)
        leader_speed = surroundings.speed_mps.gather(1, leader[:, None])[:, 0]
        speed = ego[:, 3]
        closing = torch.where(gap.isinf(), 0.0, speed - leader_speed)
        scale = 2.0 * (self.acceleration_mps2 * self.braking_mps2) ** 0.5
        wish = self.standstill_gap_m + (speed * self.headway_s + speed * closing / scale).clamp(
            min=0.0
        )
        free = (speed / self.desired_speed_mps) ** 4
        acceleration = self.acceleration_mps2 * (1.0 - free - (wish / gap.clamp(min=0.1)) ** 2)
        return ActionBounds().clamp(
            torch.stack([acceleration, torch.zeros_like(acceleration)], dim=-1)
        )
