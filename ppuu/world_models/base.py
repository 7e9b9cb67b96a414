"""The interface of world models: begin from a history, advance, decode, and infer latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..predictions import Prediction, Target
from ..runtime.errors import InputError
from ..runtime.pytree import repeat
from ..runtime.randomness import normal
from .latent import Latent
from .spec import HasSpec, ModelSpec

if TYPE_CHECKING:
    from .replicas import Replicas
    from .tokens import TokensWorldModel

Ego = Float[Tensor, "batch 4"] | None
"""The ego's state at a step; None for models that are not conditioned on it."""


@dataclass(frozen=True)
class ModelConfig:
    """Options that all world models have.

    Attributes:
        observation: the history that is the input.
        frames_per_step: recorded frames per model step.
        dt_s: seconds per recorded frame.
        latent: width of the latent of a step (PPUU: 32).
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    frames_per_step: int = 3
    dt_s: float = 0.1
    latent: int = 16

    def __post_init__(self):
        if self.frames_per_step < 1 or self.latent < 0 or not self.dt_s > 0:
            raise InputError(
                f"frames_per_step {self.frames_per_step} and dt_s {self.dt_s} of a world model "
                f"must be positive, latent {self.latent} at least 0"
            )

    def spec(self, **more: Any) -> ModelSpec:
        """The spec of such a model, with further attributes."""
        attributes: dict[str, Any] = {"latent": self.latent} | more
        return ModelSpec(self.observation, self.frames_per_step, self.dt_s, **attributes)


@dataclass(frozen=True)
class DropoutConfig(ModelConfig):
    """Options that all world models with dropout have.

    Attributes:
        dropout: probability, also of the replicas for epistemic uncertainty.
    """

    dropout: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(
                f"dropout {self.dropout} of a world model must be at least 0 and below 1"
            )


class Predictor(HasSpec, ABC):
    """Predicts the surroundings, in steps of ``frames_per_step`` recorded frames.

    The ego is moved by the kinematics, not by this class, unless ``spec.moves_ego``.
    """

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
        """Samples of the future of each history.

        Args:
            observation: the histories.
            steps: number of steps of the predictor.
            samples: futures of each history; deterministic predictors repeat one.
            generator: of the noise.
            ego: the ego's states at the steps; only for models conditioned on them.
            shared: whether all histories share the noise, so that a prediction does not depend on
                the rest of the batch.
        """

    def replicas(self, count: int, generator: torch.Generator) -> Replicas:
        """A model whose samples are replicas of this one; see ``ppuu.world_models.replicas``.

        Its ``count`` is the number of replicas; an ensemble has at most as many as members.

        Raises:
            InputError: the predictor is not learned, so it has no replicas.
        """
        raise InputError(
            f"{type(self).__name__} is not a learned model, so it has no replicas to disagree; "
            "plan with uncertainty_weight=0 or with a world model"
        )

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Poses of predicted images; by default those of the constant-velocity frame."""
        steps = torch.arange(1, ego.shape[1] + 1, device=ego.device, dtype=ego.dtype)
        return constant_velocity_poses(observation.ego[:, -1], steps * self.step_s)


class WorldModel(nn.Module, Predictor):
    """A learned stochastic predictor: begin from a history, advance step by step, decode.

    It is a pure function of the observation, of noise and, if it is conditioned on it, of the ego's
    path.  Its state is a pytree of tensors.

    Attributes:
        normalizer: statistics of the data, for models that use them.
    """

    normalizer: Normalizer | None

    def __init__(self):
        super().__init__()
        self.normalizer = None

    @abstractmethod
    def begin(self, observation: Observation) -> Any:
        """The state at the end of a history."""

    def embedding(self, state: Any) -> Float[Tensor, "batch features"]:
        """The embedding of the ego's situation, the input of embedding policies.

        Raises:
            InputError: this kind of model has none.
        """
        raise InputError(
            f"{type(self).__name__} has no embedding; choose another world model for the policy"
        )

    def with_vehicles(self, vehicles: int) -> TokensWorldModel:
        """The same model for another number of tracked vehicles.

        Raises:
            InputError: this kind of model predicts no tracks.
        """
        raise InputError(
            f"{type(self).__name__} does not predict vehicles one by one; choose a token model "
            "(train.world_model, model tokens)"
        )

    @abstractmethod
    def advance(
        self, state: Any, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[Any, Ego]:
        """The state one step later, and the ego's.

        Args:
            state: the current state.
            ego: the ego's next state; only for models conditioned on it.
            latent: of the step.

        Returns:
            The next state, and the ego's next state, as predicted if ``spec.moves_ego``, otherwise
            as given.
        """

    def prepared(self, state: Any) -> Any:
        """The state with the features that prior, posterior and the next step share."""
        return state

    def prior(self, state: Any) -> Latent | None:
        """The prior of the next latent, given the past; None is the standard normal."""
        return None

    @abstractmethod
    def posterior(self, state: Any, target: Target, step: int) -> Latent:
        """The posterior of the latent of a step, given the future."""

    def masked_posterior(
        self, mask: Bool[Tensor, " batch"], state: Any, target: Target, step: int
    ) -> Latent:
        """``posterior`` where the mask is set, arbitrary elsewhere, which may save computation."""
        return self.posterior(state, target, step)

    @abstractmethod
    def decode(self, states: list, observation: Observation, samples: int) -> Prediction:
        """The prediction of consecutive states.

        The states hold ``samples`` futures of each candidate of each element of the batch.
        """

    def noise(
        self, like: Tensor, batch: int, samples: int, steps: int, generator: torch.Generator
    ) -> Float[Tensor, "batch samples time latent"]:
        """Standard normal noise for latents."""
        return normal((batch, samples, steps, self.spec.latent), generator, like)

    def step(
        self, state: Any, ego: Ego, noise: Float[Tensor, "batch time latent"], number: int
    ) -> tuple[Any, Ego]:
        """Advances by step ``number``, with the sample of the prior for standard normal noise.

        A latent that is shared by all steps uses the noise of the first.
        """
        step_noise = noise[:, number if self.spec.latent_span == "step" else 0]
        state = self.prepared(state)
        prior = self.prior(state)
        return self.advance(
            state, ego, step_noise if prior is None else prior.reparameterize(step_noise)
        )

    def predict(
        self,
        observation: Observation,
        steps: int,
        samples: int,
        generator: torch.Generator,
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
        shared: bool = False,
    ) -> Prediction:
        """Rolls out with latents from the prior, all samples in one batch."""
        like = observation.ego
        noise = self.noise(like, 1 if shared else len(like), samples, steps, generator)
        return self.rollout(observation, noise, ego)

    def rollout(
        self,
        observation: Observation,
        noise: Float[Tensor, "some samples time latent"],
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
    ) -> Prediction:
        """The prediction for given standard normal noise.

        Args:
            observation: the histories.
            noise: of each history, or one for all of them (``some`` is 1).
            ego: the ego's paths; only for models conditioned on them.
        """
        return self.rollout_from(self.begin(observation), observation, noise, ego)

    def rollout_from(
        self,
        state: Any,
        observation: Observation,
        noise: Float[Tensor, "some samples time latent"],
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
    ) -> Prediction:
        """``rollout`` from the state at the end of the history."""
        batch, samples, steps = len(observation.ego), *noise.shape[1:3]
        if not self.spec.conditioned_on_ego:
            ego = None
        candidates = 1 if ego is None else ego.shape[1]
        rows = noise[:, None].expand(batch, candidates, -1, -1, -1).flatten(0, 2)
        paths = None if ego is None else ego.flatten(0, 1).repeat_interleave(samples, 0)
        state, states = self.repeated(state, candidates, samples), []
        for number in range(steps):
            next_ego = None if paths is None else paths[:, number]
            state, _ = self.step(state, next_ego, rows, number)
            states.append(state)
        return self.decode(states, observation, samples)

    def repeated(self, state: Any, candidates: int, samples: int) -> Any:
        """The initial state, copied for every sample of every candidate."""
        return repeat(state, candidates * samples)

    def replicas(self, count: int, generator: torch.Generator) -> Replicas:
        """The model with several dropout masks, one per replica."""
        from .replicas import DropoutReplicas

        return DropoutReplicas(self, count, generator)


def posterior_noise(
    model: WorldModel, observation: Observation, target: Target, generator: torch.Generator
) -> Float[Tensor, "batch time latent"]:
    """Noise that reproduces the recorded future: samples of the posterior at each step.

    A latent that lasts for the rollout has the same noise at all steps.
    """
    state, noise, latent, step_noise = model.begin(observation), [], None, None
    for step in range(target.ego.shape[1]):
        state = model.prepared(state)
        if latent is None or step_noise is None or model.spec.latent_span == "step":
            latent = model.posterior(state, target, step).sample(generator)
            prior = model.prior(state)
            step_noise = latent if prior is None else prior.noise(latent)
        noise.append(step_noise)
        state, _ = model.advance(state, target.ego[:, step], latent)
    return torch.stack(noise, dim=1)
