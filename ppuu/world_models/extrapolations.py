"""Baseline predictors without learning: extrapolations of tracks.

They read true sizes and velocities from the tracks, which models of pixels have to estimate.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from ..driving.gaps import bumper_gap_m
from ..driving.idm import IdmParameters, unlimited_idm_acceleration
from ..geometry import to_local, wrap_angle
from ..kinematics import step as kinematic_step
from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Observation, ObservationConfig
from ..predictions import BoxPrediction
from ..recordings.tracks import Tracks
from .base import Predictor
from .spec import ModelSpec, tracks_spec


@dataclass(frozen=True)
class Extrapolation(Predictor):
    """A deterministic predictor that extrapolates tracks.

    Attributes:
        spec: the history that is the input, and the step.
    """

    spec: ModelSpec = field(
        default_factory=lambda: tracks_spec(ObservationConfig(vehicles=24, images=False))
    )

    @abstractmethod
    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """States of all vehicles at times after the history."""

    def predict(
        self,
        observation: Observation,
        steps: int,
        samples: int,
        generator: torch.Generator,
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
        shared: bool = False,
    ) -> BoxPrediction:
        """One future, repeated ``samples`` times."""
        tracks = observation.tracks
        assert tracks is not None
        assert observation.road is not None
        seconds = torch.arange(1, steps + 1, device=observation.ego.device) * self.step_s
        states = self.extrapolate(observation, tracks, seconds)
        return BoxPrediction(
            constant_velocity_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            states[:, None, None].expand(-1, -1, samples, -1, -1, -1),
            tracks.size_m,
            tracks.valid_now,
            observation.road,
        )


class CopyLast(Extrapolation):
    """The last image at all times: vehicles keep their position in the constant-velocity frame."""

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """The last states, moved at the ego's velocity."""
        ego = observation.ego[:, -1]
        offset = constant_velocity_poses(ego, seconds)[:, :, None] - ego[:, None, None, :3]
        return tracks.now[:, None] + functional.pad(offset, (0, 1))


class ConstantVelocity(Extrapolation):
    """Vehicles keep speed and heading."""

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """Straight lines."""
        return _along_heading(tracks.now, tracks.now[:, None, :, 3] * seconds[:, None], None)


class ConstantAcceleration(Extrapolation):
    """Vehicles keep heading and acceleration, as measured over the history's last interval.

    Braking ends at standstill.
    """

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """Constant acceleration along straight lines."""
        interval = self.observation.stride * self.dt_s
        change = tracks.now[..., 3] - tracks.states[:, :, -2, 3]
        acceleration = torch.where(tracks.valid[:, :, -2], change / interval, 0.0)[:, None]
        speed = tracks.now[:, None, :, 3]
        time = seconds[:, None]
        time_to_stop = torch.where(
            acceleration < 0, speed / acceleration.abs().clamp(min=1e-6), torch.inf
        )
        moving = torch.minimum(time, time_to_stop)
        distance_m = speed * moving + 0.5 * acceleration * moving.square()
        speed = (speed + acceleration * moving).clamp(min=0.0)
        return _along_heading(tracks.now, distance_m, speed)


def _along_heading(
    now: Float[Tensor, "batch slots 4"],
    distance_m: Float[Tensor, "batch time slots"],
    speed_mps: Float[Tensor, "batch time slots"] | None,
) -> Float[Tensor, "batch time slots 4"]:
    x, y, heading, speed = (value[:, None].expand_as(distance_m) for value in now.unbind(-1))
    speed = speed if speed_mps is None else speed_mps
    return torch.stack(
        [x + distance_m * heading.cos(), y + distance_m * heading.sin(), heading, speed], dim=-1
    )


@dataclass(frozen=True)
class IdmRollForward(Extrapolation):
    """Vehicles follow their leaders by the Intelligent Driver Model (Treiber et al., 2000).

    The leader, the next vehicle in a straight corridor ahead, is determined at each step; it can
    be the ego, which keeps its velocity.  Vehicles do not steer.

    Attributes:
        headway_s, standstill_gap_m, acceleration_mps2, braking_mps2, desired_gain: the model's
            constants; the desired speed is the last one times ``desired_gain`` plus 2 m/s.
    """

    headway_s: float = 1.0
    standstill_gap_m: float = 2.0
    acceleration_mps2: float = 1.2
    braking_mps2: float = 2.0
    desired_gain: float = 1.1

    def extrapolate(
        self, observation: Observation, tracks: Tracks, seconds: Float[Tensor, " time"]
    ) -> Float[Tensor, "batch time slots 4"]:
        """Integrates the accelerations step by step."""
        ego = observation.ego[:, -1:]
        states = torch.cat([ego, tracks.now], dim=1)
        size = torch.cat([observation.size_m[:, None], tracks.size_m], dim=1)
        valid = torch.cat([torch.ones_like(tracks.valid_now[:, :1]), tracks.valid_now], dim=1)
        desired = self.desired_gain * states[..., 3] + 2.0
        predicted = []
        for _ in seconds:
            acceleration = self._follow(states, size, valid, desired)
            acceleration[:, 0] = 0.0  # the ego keeps its velocity
            action = torch.stack([acceleration, torch.zeros_like(acceleration)], dim=-1)
            states = kinematic_step(states, action, self.step_s)
            predicted.append(states[:, 1:])
        return torch.stack(predicted, dim=1)

    def _follow(
        self,
        states: Float[Tensor, "batch cars 4"],
        size_m: Float[Tensor, "batch cars 2"],
        here: Bool[Tensor, "batch cars"],
        desired_mps: Float[Tensor, "batch cars"],
    ) -> Float[Tensor, "batch cars"]:
        every = states.shape[1]
        relative = to_local(
            states[:, None].expand(-1, every, -1, -1), states[:, :, None].expand(-1, -1, every, -1)
        )
        length, width = size_m.unbind(-1)
        width = 0.5 * (width[:, None] + width[:, :, None])
        leads = (relative[..., 0] > 0) & (relative[..., 1].abs() < width) & here[:, None]
        leads &= wrap_angle(relative[..., 2]).abs() < 0.5
        gap = bumper_gap_m(relative[..., 0], length[:, None], length[:, :, None])
        gap = torch.where(leads, gap, torch.inf)
        gap, leader = gap.min(dim=2)
        speed = states[..., 3]
        parameters = IdmParameters(
            desired_mps,
            self.headway_s,
            self.standstill_gap_m,
            self.acceleration_mps2,
            self.braking_mps2,
        )
        acceleration = unlimited_idm_acceleration(
            parameters, speed, gap.clamp(min=0.5), speed.gather(1, leader)
        )
        return acceleration.clamp(-6.0, 3.0)
