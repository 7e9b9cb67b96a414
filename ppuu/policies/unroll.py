"""A policy driven through predicted surroundings, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ..kinematics import rollout
from ..perception.observation import Observation
from ..predictions import Prediction, Rollout
from ..world_models import WorldModel
from .learned_costs import ValueFunction
from .network import NetworkPolicy


class Traffic(ABC):
    """What surrounds a policy while it is unrolled; rows are beginnings of drives.

    Attributes:
        prediction: of all steps so far.
    """

    prediction: Prediction

    @abstractmethod
    def advance(
        self, number: int, ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"]
    ) -> Float[Tensor, "rows 4"]:
        """Goes on to step ``number`` (counted from 0); where the ego then is.

        Args:
            number: of the step.
            ego: where the kinematics move the ego.
            action: that moved it there.
        """

    @abstractmethod
    def observe(self, seen: Observation, number: int, ego: Float[Tensor, "rows 4"]) -> Observation:
        """What is seen after step ``number``."""


class FixedTraffic(Traffic):
    """Surroundings that do not depend on the ego, predicted beforehand.

    Args:
        prediction: one serves all beginnings of an element of the batch.
    """

    def __init__(self, prediction: Prediction):
        self.prediction = prediction

    def advance(
        self, number: int, ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"]
    ) -> Float[Tensor, "rows 4"]:
        """Where the kinematics move it."""
        return ego

    def observe(self, seen: Observation, number: int, ego: Float[Tensor, "rows 4"]) -> Observation:
        """The first sample."""
        return self.prediction.next_observation(seen, ego, number)


class ModelTraffic(Traffic):
    """A model that is conditioned on the ego, advanced as the policy drives.

    Args:
        model: any whose samples may differ by replica.
        starts: histories, a row a beginning.
        noise: ``(rows, time, latent)`` for the latents of each, shared by its samples.
        samples: of each.
        frames_per_step, dt_s: see the model.
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
        self, number: int, ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"]
    ) -> Float[Tensor, "rows 4"]:
        """Each sample has an ego of its own, where the model moves it; all of them do the same."""
        model = self._model
        told = ego.repeat_interleave(self._samples, 0)
        if model.spec.moves_ego:
            held = action.repeat_interleave(self._samples, 0)
            told = moved(self._ego, held, model.frames_per_step, model.dt_s)
        self._state, found = model.step(self._state, told, self._noise, number)
        assert found is not None
        self._ego = found
        self._parts.append(model.decode([self._state], self._starts, self._samples))
        return found[:: self._samples]

    def observe(self, seen: Observation, number: int, ego: Float[Tensor, "rows 4"]) -> Observation:
        """The first sample."""
        return self._parts[number].next_observation(seen, ego, 0)

    @property
    def prediction(self) -> Prediction:  # type: ignore[override]
        """All steps so far."""
        return type(self._parts[0]).concatenate(self._parts)


def moved(
    ego: Float[Tensor, "rows 4"], action: Float[Tensor, "rows 2"], frames: int, dt_s: float
) -> Float[Tensor, "rows 4"]:
    """The ego's state after an action was held for some frames."""
    return rollout(ego, action[:, None], dt_s, held=frames)[:, 0]


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
    """Drives the policy through predicted surroundings; a value function judges where it ends.

    What the policy sees next is the first sample, from where the ego has got to; it enters as a
    constant, so gradients run through actions, ego states and masks.

    Args:
        policy: the driver; decides once a step.
        traffic: what surrounds it.
        observation: histories, a row a beginning; those of one element of the traffic's batch in a
            row.
        previous_action: the action before the first.
        steps: how many.
        frames_per_step: for which each action is held.
        dt_s: seconds a frame.
        value: what driving on from the end costs, if it counts.
        generator: draws the actions of a stochastic policy.
    """
    seen, ego = observation, observation.ego[:, -1]
    states, actions = [], []
    for number in range(steps):
        action = policy(seen, generator)
        ego = traffic.advance(number, moved(ego, action, frames_per_step, dt_s), action)
        states.append(ego)
        actions.append(action)
        if number + 1 < steps or value is not None:
            seen = traffic.observe(seen, number, ego)
    prediction = traffic.prediction
    shape = len(prediction.pose), len(ego) // len(prediction.pose)
    return Rollout(
        states=torch.stack(states, dim=1).unflatten(0, shape),
        actions=torch.stack(actions, dim=1).unflatten(0, shape),
        previous_action=previous_action.unflatten(0, shape),
        size_m=observation.size_m[:: shape[1]],
        prediction=prediction,
        step_s=frames_per_step * dt_s,
        value=None if value is None else value(seen).unflatten(0, shape),
    )
