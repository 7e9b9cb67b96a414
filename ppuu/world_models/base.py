"""What every world model can do: encode a history, advance, decode, and explain what it saw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..observation import Observation, ObservationConfig
from ..raster import RasterConfig
from ..rollout import Futures


@dataclass(frozen=True, eq=False)
class Latent:
    """A diagonal Gaussian over the latent of one step.

    Attributes:
        mean, log_variance: ``(batch, latent)``.
    """

    mean: Float[Tensor, "batch latent"]
    log_variance: Float[Tensor, "batch latent"]

    def sample(self) -> Float[Tensor, "batch latent"]:
        """A reparameterised sample."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)

    def divergence(self) -> Float[Tensor, " batch"]:
        """KL divergence from the standard normal, in nats."""
        variance = self.log_variance.exp()
        return 0.5 * (variance + self.mean**2 - 1.0 - self.log_variance).sum(-1)


class WorldModel(nn.Module, ABC):
    """Predicts the surroundings' raster; the kinematics (not this class) move the ego.

    A model works in steps of ``frames_per_step`` recorded frames.  Its state is a tensor or a
    nest of tensors of its own making.  ``advance`` is told the ego's next state: a coupled model
    may use it, a decoupled one does not, and then one set of futures serves every candidate
    action.

    Attributes:
        frames_per_step: recorded frames a step.
        latent_size: width of the latent.
        decoupled: whether ``advance`` ignores the ego.
        raster: size and scale of the predicted images.
        observation: the history it wants to see.
        dt_s: seconds between recorded frames.
    """

    frames_per_step: int
    latent_size: int
    decoupled: bool
    raster: RasterConfig
    observation: ObservationConfig
    dt_s: float

    @abstractmethod
    def encode(self, observation: Observation):
        """The state after seeing a history."""

    @abstractmethod
    def repeat(self, state, copies: int):
        """Every element of a state ``copies`` times in a row."""

    @abstractmethod
    def advance(
        self,
        state,
        ego: Float[Tensor, "batch 4"] | None,
        latent: Float[Tensor, "batch latent"],
    ):
        """The state one step later, given the ego's state then and a latent."""

    @abstractmethod
    def posterior(self, state, vehicles: Float[Tensor, "batch rows columns"]) -> Latent:
        """What the latent of the next step must have been, given the image that followed."""

    @abstractmethod
    def decode(self, states: list, observation: Observation, futures: int) -> Futures:
        """Images of several states in a row; the batch holds ``futures`` alternatives in turn."""

    @abstractmethod
    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Where the predicted images of the coming steps are drawn at, given the ego's path."""

    def imagine(
        self,
        observation: Observation,
        steps: int,
        futures: int,
        ego: Float[Tensor, "batch time 4"] | None = None,
        latents: Float[Tensor, "batch futures time latent"] | None = None,
    ) -> Futures:
        """Rolls out from the prior (or given latents), all futures in one batch.

        Args:
            observation: the history.
            steps: model steps.
            futures: alternatives for each element.
            ego: the ego's path, at the steps; a coupled model needs it.
            latents: samples to use instead of fresh ones.
        """
        batch = len(observation.ego)
        if latents is None:
            latents = observation.ego.new_empty(batch, futures, steps, self.latent_size).normal_()
        latents = latents.flatten(0, 1)
        state = self.repeat(self.encode(observation), futures)
        states = []
        for step in range(steps):
            then = None if ego is None else ego[:, step].repeat_interleave(futures, 0)
            state = self.advance(state, then, latents[:, step])
            states.append(state)
        return self.decode(states, observation, futures)
