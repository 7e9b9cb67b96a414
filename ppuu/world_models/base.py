"""What every world model can do: begin from a history, advance, decode, and infer latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..perception.raster_image import RasterConfig
from ..predictions import Prediction, Target, TargetConfig
from ..runtime.errors import InputError
from ..runtime.pytree import repeat
from ..runtime.randomness import normal
from .latent import Latent

if TYPE_CHECKING:
    from .replicas import Replicas

Ego = Float[Tensor, "batch 4"] | None
"""The ego's state at a step, for those who are told it."""


@dataclass(frozen=True)
class ModelSpec:
    """What a model is, for those who use it.

    Attributes:
        observation: the history it wants to see, and the size and scale of images.
        frames_per_step: recorded frames a step.
        dt_s: seconds between recorded frames.
        conditioned_on_ego: whether what it predicts depends on the ego's path.  If not, one
            prediction serves all candidates.
        moves_ego: whether it moves the ego itself, instead of believing what it is told.
        latent: width of the latent of a step.
        latent_span: whether every step has a latent of its own, or the rollout one.
        embedding: width of what ``embedding`` gives; 0 if the model gives none.
        target: what it is held against when it learns.
    """

    observation: ObservationConfig
    frames_per_step: int = 3
    dt_s: float = 0.1
    conditioned_on_ego: bool = False
    moves_ego: bool = False
    latent: int = 0
    latent_span: Literal["step", "rollout"] = "step"
    embedding: int = 0
    target: TargetConfig = field(default_factory=TargetConfig)


@dataclass(frozen=True)
class ModelConfig:
    """What the configurations of all world models have.

    Attributes:
        observation: the history it sees.
        frames_per_step: recorded frames one model step spans.
        dt_s: seconds a recorded frame.
        latent: width of the latent of a step (PPUU: 32).
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    frames_per_step: int = 3
    dt_s: float = 0.1
    latent: int = 16

    def __post_init__(self):
        if self.frames_per_step < 1 or self.latent < 0 or not self.dt_s > 0:
            raise InputError(
                f"a world model's frames_per_step {self.frames_per_step} and dt_s {self.dt_s} must "
                f"be positive, latent {self.latent} not negative"
            )

    def spec(self, **more: Any) -> ModelSpec:
        """What such a model is; further attributes as named."""
        found: dict[str, Any] = {"latent": self.latent} | more
        return ModelSpec(self.observation, self.frames_per_step, self.dt_s, **found)


@dataclass(frozen=True)
class DropoutConfig(ModelConfig):
    """The same of models with dropout.

    Attributes:
        dropout: probability, also for the replicas that measure uncertainty.
    """

    dropout: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"dropout {self.dropout} of a world model: from 0 to below 1")


class Predictor(ABC):
    """Predicts the surroundings; the kinematics (not this class) move the ego.

    A predictor works in steps of ``frames_per_step`` recorded frames.

    Attributes:
        spec: what it is.
    """

    spec: ModelSpec

    @property
    def frames_per_step(self) -> int:
        """Recorded frames a step."""
        return self.spec.frames_per_step

    @property
    def dt_s(self) -> float:
        """Seconds between recorded frames."""
        return self.spec.dt_s

    @property
    def observation(self) -> ObservationConfig:
        """The history it wants to see."""
        return self.spec.observation

    @property
    def raster(self) -> RasterConfig:
        """Size and scale of images."""
        return self.observation.raster

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self.frames_per_step * self.dt_s

    @abstractmethod
    def predict(
        self,
        observation: Observation,
        steps: int,
        samples: int,
        generator: torch.Generator,
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
        shared: bool = False,
    ) -> Prediction:
        """Samples of what follows each history.

        Args:
            observation: the history.
            steps: how far, in steps of the predictor.
            samples: alternatives for each element; those without chance are all alike.
            generator: of all chances.
            ego: the ego's paths at the steps; only models conditioned on them need it.
            shared: whether the same chances serve all histories, so that what one may expect does
                not depend on who else is in the batch.
        """

    def replicas(self, count: int, generator: torch.Generator) -> Replicas:
        """A model whose samples are its replicas; see ``ppuu.world_models.replicas``.

        Its ``count`` says how many there are: of an ensemble no more than members.

        Raises:
            InputError: there is nothing that replicas could disagree about.
        """
        raise InputError(
            f"{type(self).__name__} has learned nothing that replicas could disagree about; plan "
            "with uncertainty_weight=0 or in a world model"
        )

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Where predictions are seen from: constant velocity, unless a model says otherwise."""
        steps = torch.arange(1, ego.shape[1] + 1, device=ego.device, dtype=ego.dtype)
        return gliding_poses(observation.ego[:, -1], steps * self.step_s)


class WorldModel(nn.Module, Predictor):
    """A stochastic predictor that learns: begin from a history, advance step by step, decode.

    It is a pure function of the observation, of noise and, if it is conditioned on it, of the ego's
    path.  Its state is a nest of tensors of its own making.

    Attributes:
        normalizer: statistics of the data, for models that want them.
    """

    normalizer: Normalizer | None

    def __init__(self):
        super().__init__()
        self.normalizer = None

    @abstractmethod
    def begin(self, observation: Observation) -> Any:
        """The state after seeing a history."""

    def embedding(self, state: Any) -> Float[Tensor, "batch features"]:
        """What the model makes of the ego's situation, for a policy to decide upon.

        Raises:
            InputError: this kind of model gives none.
        """
        raise InputError(f"{type(self).__name__} has no embedding for a policy to look at")

    @abstractmethod
    def advance(
        self, state: Any, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[Any, Ego]:
        """The state one step later, and the ego's.

        Args:
            state: now.
            ego: the ego's state then, which models that are not conditioned on it do not need.
            latent: of the step.

        Returns:
            The next state, and the ego's as the model has moved it, or else as it was told.
        """

    def prepared(self, state: Any) -> Any:
        """The state with what its prior, its posterior and the next step share, computed once."""
        return state

    def prior(self, state: Any) -> Latent | None:
        """What the history tells of the latent that comes next; None for the standard normal."""
        return None

    @abstractmethod
    def posterior(self, state: Any, target: Target, step: int) -> Latent:
        """What the latent of a step must have been, given what followed."""

    def posterior_where(
        self, asked: Bool[Tensor, " batch"], state: Any, target: Target, step: int
    ) -> Latent:
        """``posterior`` of some elements; of the others anything, so that nothing need be done."""
        return self.posterior(state, target, step)

    @abstractmethod
    def decode(self, states: list, observation: Observation, samples: int) -> Prediction:
        """Several states in a row as surroundings.

        The states hold ``samples`` alternatives of each candidate of each element of the batch.
        """

    def noise(
        self, like: Tensor, batch: int, samples: int, steps: int, generator: torch.Generator
    ) -> Float[Tensor, "batch samples time latent"]:
        """Standard normal noise for latents."""
        return normal((batch, samples, steps, self.spec.latent), generator, like)

    def step(
        self, state: Any, ego: Ego, noise: Float[Tensor, "batch time latent"], number: int
    ) -> tuple[Any, Ego]:
        """Advances by step ``number``, with the latent that the prior makes of standard noise.

        A latent that is shared by all steps is always made of the noise of the first.
        """
        now = noise[:, number if self.spec.latent_span == "step" else 0]
        state = self.prepared(state)
        prior = self.prior(state)
        return self.advance(state, ego, now if prior is None else prior.at(now))

    def predict(
        self,
        observation: Observation,
        steps: int,
        samples: int,
        generator: torch.Generator,
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
        shared: bool = False,
    ) -> Prediction:
        """Rolls out from the prior, all samples in one batch."""
        like = observation.ego
        noise = self.noise(like, 1 if shared else len(like), samples, steps, generator)
        return self.rollout(observation, noise, ego)

    def rollout(
        self,
        observation: Observation,
        noise: Float[Tensor, "some samples time latent"],
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
    ) -> Prediction:
        """What standard normal noise stands for.

        Args:
            observation: the histories.
            noise: of each history, or the same for all of them (``some`` is 1).
            ego: the ego's paths; only models conditioned on them need it.
        """
        return self.rollout_from(self.begin(observation), observation, noise, ego)

    def rollout_from(
        self,
        state: Any,
        observation: Observation,
        noise: Float[Tensor, "some samples time latent"],
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
    ) -> Prediction:
        """The same from the state after the history, where that is known."""
        batch, samples, steps = len(observation.ego), *noise.shape[1:3]
        if not self.spec.conditioned_on_ego:
            ego = None
        candidates = 1 if ego is None else ego.shape[1]
        rows = noise[:, None].expand(batch, candidates, -1, -1, -1).flatten(0, 2)
        told = None if ego is None else ego.flatten(0, 1).repeat_interleave(samples, 0)
        state, states = self.repeated(state, candidates, samples), []
        for number in range(steps):
            then = None if told is None else told[:, number]
            state, _ = self.step(state, then, rows, number)
            states.append(state)
        return self.decode(states, observation, samples)

    def repeated(self, state: Any, candidates: int, samples: int) -> Any:
        """The state of every sample of every candidate, from that after the history."""
        return repeat(state, candidates * samples)

    def replicas(self, count: int, generator: torch.Generator) -> Replicas:
        """The model with several dropout masks, one a replica."""
        from .replicas import DropoutReplicas

        return DropoutReplicas(self, count, generator)


def posterior_noise(
    model: WorldModel, observation: Observation, target: Target, generator: torch.Generator
) -> Float[Tensor, "batch time latent"]:
    """The noise that stands for what really followed: samples of the posterior, step after step.

    Of a latent that lasts for the rollout it is the same at all steps.
    """
    state, noise, latent, now = model.begin(observation), [], None, None
    for step in range(target.ego.shape[1]):
        state = model.prepared(state)
        if latent is None or now is None or model.spec.latent_span == "step":
            latent = model.posterior(state, target, step).sample(generator)
            prior = model.prior(state)
            now = latent if prior is None else prior.noise(latent)
        noise.append(now)
        state, _ = model.advance(state, target.ego[:, step], latent)
    return torch.stack(noise, dim=1)
