"""Predictors without learning: what a world model has to beat.

All of them redraw the tracked vehicles, so they know true sizes and velocities, which a model of
pixels has to see for itself.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from ..geometry import to_local, wrap_angle
from ..kinematics import step as kinematic_step
from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Observation, ObservationConfig
from ..predictions import BoxPrediction, TargetConfig
from ..recordings.tracks import Tracks
from .base import ModelSpec, Predictor


def tracks_spec(
    observation: ObservationConfig, frames_per_step: int = 3, dt_s: float = 0.1
) -> ModelSpec:
    """What a predictor of tracks is."""
    return ModelSpec(observation, frames_per_step, dt_s, target=TargetConfig(tracks=True))


@dataclass(frozen=True)
class Reference(Predictor):
    """A predictor that extrapolates tracks, the same future each time.

    Attributes:
        spec: the history it wants to see, and its step.
    """

    spec: ModelSpec = field(
        default_factory=lambda: tracks_spec(ObservationConfig(vehicles=24, images=False))
    )

    @abstractmethod
    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """States of all vehicles at times from now."""

    def predict(
        self,
        observation: Observation,
        steps: int,
        samples: int,
        generator: torch.Generator,
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
        shared: bool = False,
    ) -> BoxPrediction:
        """The same future ``samples`` times."""
        tracks = observation.tracks
        assert tracks is not None
        assert observation.road is not None
        seconds = torch.arange(1, steps + 1, device=observation.ego.device) * self.step_s
        states = self.extrapolate(observation, tracks, seconds)
        return BoxPrediction(
            gliding_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            states[:, None, None].expand(-1, -1, samples, -1, -1, -1),
            tracks.size_m,
            tracks.valid_now,
            observation.road,
        )


class CopyLast(Reference):
    """The last image, again and again: everybody keeps his place in the gliding frame."""

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """The present, carried along at the ego's present velocity."""
        ego = observation.ego[:, -1]
        glided = gliding_poses(ego, seconds)[:, :, None] - ego[:, None, None, :3]
        return tracks.now[:, None] + functional.pad(glided, (0, 1))


class ConstantVelocity(Reference):
    """Everybody keeps speed and heading."""

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """Straight lines."""
        return _along_heading(tracks.now, tracks.now[:, None, :, 3] * seconds[:, None], None)


class ConstantAcceleration(Reference):
    """Everybody keeps heading and acceleration, the latter over the last 0.3 s of the history.

    Nobody reverses: braking ends at standstill.
    """

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """Parabolas along straight lines."""
        interval = self.observation.stride * self.dt_s
        gained = tracks.now[..., 3] - tracks.states[:, :, -2, 3]
        acceleration = torch.where(tracks.valid[:, :, -2], gained / interval, 0.0)[:, None]
        speed = tracks.now[:, None, :, 3]
        time = seconds[:, None]
        stopping = torch.where(
            acceleration < 0, speed / acceleration.abs().clamp(min=1e-6), torch.inf
        )
        moving = torch.minimum(time, stopping)
        way = speed * moving + 0.5 * acceleration * moving.square()
        return _along_heading(tracks.now, way, (speed + acceleration * moving).clamp(min=0.0))


def _along_heading(
    now: Float[Tensor, "batch slots 4"],
    way_m: Float[Tensor, "batch time slots"],
    speed_mps: Float[Tensor, "batch time slots"] | None,
) -> Float[Tensor, "batch time slots 4"]:
    x, y, heading, speed = (value[:, None].expand_as(way_m) for value in now.unbind(-1))
    speed = speed if speed_mps is None else speed_mps
    return torch.stack(
        [x + way_m * heading.cos(), y + way_m * heading.sin(), heading, speed], dim=-1
    )


@dataclass(frozen=True)
class IdmRollForward(Reference):
    """Everybody follows by the Intelligent Driver Model (Treiber et al., 2000), in his lane.

    Who is ahead in the own corridor is found anew at each step, the ego's place (keeping its
    velocity) included; nobody steers.

    Attributes:
        headway_s, standstill_gap_m, acceleration_mps2, braking_mps2, desired_gain: the model's
            constants; the desired speed is the present one times ``desired_gain`` plus 2 m/s.
    """

    headway_s: float = 1.0
    standstill_gap_m: float = 2.0
    acceleration_mps2: float = 1.2
    braking_mps2: float = 2.0
    desired_gain: float = 1.1

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """Step by step, all at once."""
        ego = observation.ego[:, -1:]
        states = torch.cat([ego, tracks.now], dim=1)
        size = torch.cat([observation.size_m[:, None], tracks.size_m], dim=1)
        here = torch.cat([torch.ones_like(tracks.valid_now[:, :1]), tracks.valid_now], dim=1)
        desired = self.desired_gain * states[..., 3] + 2.0
        told = []
        for _ in seconds:
            acceleration = self._follow(states, size, here, desired)
            acceleration[:, 0] = 0.0  # the ego's place keeps its velocity
            action = torch.stack([acceleration, torch.zeros_like(acceleration)], dim=-1)
            states = kinematic_step(states, action, self.step_s)
            told.append(states[:, 1:])
        return torch.stack(told, dim=1)

    def _follow(
        self,
        states: Float[Tensor, "batch cars 4"],
        size_m: Float[Tensor, "batch cars 2"],
        here: Bool[Tensor, "batch cars"],
        desired_mps: Float[Tensor, "batch cars"],
    ) -> Float[Tensor, "batch cars"]:
        every = states.shape[1]
        seen = to_local(
            states[:, None].expand(-1, every, -1, -1), states[:, :, None].expand(-1, -1, every, -1)
        )
        length, width = (0.5 * (v[:, None] + v[:, :, None]) for v in size_m.unbind(-1))
        leads = (seen[..., 0] > 0) & (seen[..., 1].abs() < width) & here[:, None]
        leads &= wrap_angle(seen[..., 2]).abs() < 0.5
        gap = torch.where(leads, seen[..., 0] - length, torch.inf)
        gap, leader = gap.min(dim=2)
        gap = gap.clamp(min=0.5)
        speed = states[..., 3]
        closing = torch.where(gap.isinf(), 0.0, speed - speed.gather(1, leader))
        scale = 2.0 * (self.acceleration_mps2 * self.braking_mps2) ** 0.5
        wish = (speed * self.headway_s + speed * closing / scale).clamp(min=0.0)
        wish = wish + self.standstill_gap_m
        free = (speed / desired_mps) ** 4
        return (self.acceleration_mps2 * (1.0 - free - (wish / gap) ** 2)).clamp(-6.0, 3.0)
