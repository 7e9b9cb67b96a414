"""Baselines without learning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..driving.gaps import bumper_gap_m
from ..driving.idm import IdmParameters, unlimited_idm_acceleration
from ..geometry import to_local
from ..kinematics import ActionBounds, action_between
from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..runtime.counter_random import hashed, uniform_of
from .base import Policy


class NoAction(Policy):
    """Zero acceleration and curvature."""

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Zeros."""
        return observation.ego.new_zeros(len(observation.ego), 2)


class Random(Policy):
    """Acceleration and curvature uniform within their bounds, new in every frame: the floor.

    They follow from vehicle and frame, so a drive is the same in every batch.
    """

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Actions as a random player of the environment would choose them."""
        part = torch.arange(2, device=observation.ego.device)
        vehicle, frame = privileged_state.vehicle[:, None], privileged_state.frame[:, None]
        uniform = uniform_of(hashed(vehicle, frame, part)).float()
        return (2.0 * uniform - 1.0) * ActionBounds().largest(observation.ego)


_RETURN_M, _RETURN_S = 2.0, 0.6
"""Length of the way back to the recorded path: at a crawl, and as a time at speed."""
_SEARCHED = range(-30, 6)
"""Recorded frames, from the present one, among which there is the point next to the ego."""


class RecordedHuman(Policy):
    """Follows the recorded track of the vehicle that the ego replaces.

    The acceleration is the one that leads to where the human was one frame later.  Wheels take time
    to turn, so errors across the path cannot be corrected within a frame: the curvature is the
    recorded one at the nearest point, and linear feedback of offset ``e`` and heading error, a
    damped oscillator along the path (``e'' = -2 e' / l - 2 e / l²``, the linearised pure pursuit of
    Coulter, 1992).
    """

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """Towards where the human was one frame later, and back to its path."""
        scene, now = privileged_state.scene, observation.ego[:, -1].double()
        vehicle, frame = privileged_state.vehicle, privileged_state.frame
        ahead = to_local(scene.state(vehicle, frame + 1)[:, :3].double(), now[:, :3])[:, 0]
        acceleration = ((ahead / scene.dt_s).clamp(min=0.0) - now[:, 3]) / scene.dt_s
        frames = frame[:, None] + torch.arange(_SEARCHED.start, _SEARCHED.stop, device=now.device)
        track = scene.state(vehicle[:, None].expand_as(frames), frames)
        row = torch.arange(len(now), device=now.device)
        nearest = frames[row, (track[..., :2] - now[:, None, :2]).norm(dim=-1).argmin(1)]
        here, then = (scene.state(vehicle, at).double() for at in (nearest, nearest + 1))
        offset = to_local(now[:, :3], here[:, :3])
        length = (_RETURN_S * now[:, 3]).clamp(min=_RETURN_M)
        curvature = action_between(here, then, scene.dt_s)[:, 1]
        curvature = curvature - 2.0 * (offset[:, 1] / length + offset[:, 2].sin()) / length
        return torch.stack([acceleration, curvature], dim=-1).float()


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
