"""Unrolls a policy in predicted surroundings."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ..driving.motion import drive
from ..driving.vehicle_limits import VehicleLimits
from ..kinematics import rollout
from ..perception.observation import Observation
from ..predictions import Prediction, Rollout
from ..world_models import WorldModel
from .learned_costs import ValueFunction
from .network import NetworkPolicy


class Traffic(ABC):
    """The surroundings of an unrolled policy; rows are initial states.

    Attributes:
        prediction: of all steps so far.
    """

    prediction: Prediction

    @abstractmethod
    def advance(
        self, step: int, ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"]
    ) -> Float[Tensor, "rows 4"]:
        """Advances to step ``step`` (counted from 0); returns the ego's state.

        Args:
            step: index of the step.
            ego: state according to the kinematic model.
            action: that leads to it, one that the vehicle can do.
        """

    @abstractmethod
    def observe(
        self, observation: Observation, step: int, ego: Float[Tensor, "rows 4"]
    ) -> Observation:
        """The observation after step ``step``."""


class FixedTraffic(Traffic):
    """Surroundings that do not depend on the ego, predicted beforehand.

    Args:
        prediction: shared by all initial states of an element of the batch.
    """

    def __init__(self, prediction: Prediction):
        self.prediction = prediction

    def advance(
        self, step: int, ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"]
    ) -> Float[Tensor, "rows 4"]:
        """The state of the kinematic model."""
        return ego

    def observe(
        self, observation: Observation, step: int, ego: Float[Tensor, "rows 4"]
    ) -> Observation:
        """The observation in the first sample."""
        return self.prediction.next_observation(observation, ego, step)


class ModelTraffic(Traffic):
    """A model that is conditioned on the ego, advanced along the policy's path.

    Args:
        model: world model; its samples may be replicas.
        starts: histories of the initial states.
        noise: ``(rows, time, latent)`` of the latents, shared by the samples of a row.
        samples: per row.
    """

    def __init__(
        self,
        model: WorldModel,
        starts: Observation,
        noise: Float[Tensor, "rows time latent"],
        samples: int,
    ):
        self._model, self._starts, self._samples = model, starts, samples
        self._noise = noise.repeat_interleave(samples, 0)
        self._state = model.repeated(model.begin(starts), 1, samples)
        self._ego = starts.ego[:, -1].repeat_interleave(samples, 0)
        self._parts: list[Prediction] = []

    def advance(
        self, step: int, ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"]
    ) -> Float[Tensor, "rows 4"]:
        """Each sample has its own ego state if the model predicts it; all take the same action."""
        model = self._model
        next_ego = ego.repeat_interleave(self._samples, 0)
        if model.spec.moves_ego:
            actions = action.repeat_interleave(self._samples, 0)[:, None]
            held = model.frames_per_step
            next_ego = rollout(self._ego, actions, model.dt_s, held)[:, 0]
        self._state, predicted_ego = model.step(self._state, next_ego, self._noise, step)
        assert predicted_ego is not None
        self._ego = predicted_ego
        self._parts.append(model.decode([self._state], self._starts, self._samples))
        return predicted_ego[:: self._samples]

    def observe(
        self, observation: Observation, step: int, ego: Float[Tensor, "rows 4"]
    ) -> Observation:
        """The observation in the first sample."""
        return self._parts[step].next_observation(observation, ego, 0)

    @property
    def prediction(self) -> Prediction:  # type: ignore[override]
        """Prediction of all steps so far."""
        return type(self._parts[0]).concatenate(self._parts)


def unroll(
    policy: NetworkPolicy,
    traffic: Traffic,
    observation: Observation,
    previous_action: Float[Tensor, "rows 2"],
    steps: int,
    frames_per_step: int,
    dt_s: float,
    value: ValueFunction | None = None,
    generator: torch.Generator | None = None,
) -> Rollout:
    """Rolls out a policy in predicted surroundings, with an optional terminal value.

    The next observation is the first sample, seen from the ego; it is a constant, so gradients
    flow through actions, ego states and masks.

    Args:
        policy: acts once for each step.
        traffic: the surroundings.
        observation: histories of the initial states; those of one element of the traffic's batch
            are consecutive rows.
        previous_action: the action before the first.
        steps: length of the rollout.
        frames_per_step: for which each action is held.
        dt_s: seconds between frames.
        value: terminal cost, if any.
        generator: for samples of a stochastic policy.

    Returns:
        the rollout; its actions are those that the vehicles can do of the policy's.
    """
    current, ego = observation, observation.ego[:, -1]
    limits, previous = VehicleLimits.of(observation.size_m), previous_action
    states, actions = [], []
    for step in range(steps):
        asked = policy(current, generator)[:, None]
        path = drive(ego, asked, previous, limits, dt_s, held=frames_per_step)
        previous, action = path.last_action, path.actions[:, 0]
        ego = traffic.advance(step, path.states[:, 0], action)
        states.append(ego)
        actions.append(action)
        if step + 1 < steps or value is not None:
            current = traffic.observe(current, step, ego)
    prediction = traffic.prediction
    shape = len(prediction.pose), len(ego) // len(prediction.pose)
    goal = observation.goal
    if goal is not None:
        goal = goal.take(torch.arange(0, len(ego), shape[1], device=ego.device))
    return Rollout(
        states=torch.stack(states, dim=1).unflatten(0, shape),
        actions=torch.stack(actions, dim=1).unflatten(0, shape),
        previous_action=previous_action.unflatten(0, shape),
        size_m=observation.size_m[:: shape[1]],
        prediction=prediction,
        step_s=frames_per_step * dt_s,
        value=None if value is None else value(current).unflatten(0, shape),
        goal=goal,
    )
