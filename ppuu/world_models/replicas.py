"""Replicas of a model, whose disagreement measures epistemic (not aleatoric) uncertainty."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from ..encoders.dropout import Dropout, MethodCaller
from ..perception.observation import Observation
from ..predictions import Prediction, Target
from ..runtime.errors import InputError
from .base import Ego, WorldModel
from .latent import Latent


class Replicas(WorldModel):
    """A model whose samples are its replicas: equal latents, different weights or dropout masks.

    Args:
        model: any; it is not changed.
        count: number of replicas, and of the samples of each prediction.
    """

    def __init__(self, model: WorldModel, count: int):
        super().__init__()
        # In a tuple, so that it is not registered as a submodule.
        self._model, self.count = (model,), count
        self.spec, self.normalizer = model.spec, model.normalizer

    @property
    def model(self) -> WorldModel:
        """The replicated model."""
        return self._model[0]

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """As in the model."""
        return self.model.image_poses(observation, ego)

    def begin(self, observation: Observation) -> Any:
        """The same for all replicas."""
        return self.model.begin(observation)

    def repeated(self, state: Any, candidates: int, samples: int) -> Any:
        """As in the model.

        Raises:
            InputError: another number of samples than replicas.
        """
        if samples != self.count:
            raise InputError(
                f"{samples} samples of {self.count} replicas: the numbers must be equal"
            )
        return self.model.repeated(state, candidates, samples)

    def embedding(self, state: Any) -> Float[Tensor, "batch features"]:
        """As in the model."""
        return self.model.embedding(state)

    def prior(self, state: Any) -> Latent | None:
        """As in the model."""
        return self.model.prior(state)

    def posterior(self, state: Any, target: Target, step: int) -> Latent:
        """As in the model."""
        return self.model.posterior(state, target, step)

    def noise(
        self, like: Tensor, batch: int, samples: int, steps: int, generator: torch.Generator
    ) -> Float[Tensor, "batch samples time latent"]:
        """The same for all replicas."""
        one = self.model.noise(like, batch, 1, steps, generator)
        return one.expand(-1, samples, -1, -1)

    def decode(self, states: list, observation: Observation, samples: int) -> Prediction:
        """As in the model."""
        return self.model.decode(states, observation, samples)


class DropoutReplicas(Replicas):
    """One model with several dropout masks (Gal and Ghahramani, 2016).

    A replica has one mask for all rows of a batch and all steps, so it is a function.

    Args:
        model: any with ``Dropout`` layers.
        count: number of replicas.
        generator: of the masks.

    Raises:
        InputError: the model has no dropout, so replicas would be equal.
    """

    def __init__(self, model: WorldModel, count: int, generator: torch.Generator):
        super().__init__(model, count)
        self._calls = (MethodCaller(model),)
        layers = {
            name: layer
            for name, layer in self._calls[0].named_modules()
            if isinstance(layer, Dropout) and layer.probability > 0
        }
        if not layers:
            raise InputError(
                f"{type(model).__name__} has no dropout, so its replicas would be equal; train "
                "one with dropout, or use an ensemble"
            )
        self.masks = {
            f"{k}.mask": layer.sample_masks(count, generator) for k, layer in layers.items()
        }

    def advance(
        self, state: Any, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[Any, Ego]:
        """Each replica advances its own rows, which are interleaved."""
        rounds = len(latent) // self.count
        masks = {name: mask.repeat(rounds, 1) for name, mask in self.masks.items()}
        return functional_call(self._calls[0], masks, ("advance", state, ego, latent))


class MemberReplicas(Replicas):
    """The members of an ensemble.

    The members' latent spaces are unrelated, so only noise of 0, the mean, is comparable.
    """

    def noise(
        self, like: Tensor, batch: int, samples: int, steps: int, generator: torch.Generator
    ) -> Float[Tensor, "batch samples time latent"]:
        """Zeros."""
        return like.new_zeros(batch, samples, steps, self.spec.latent)

    def advance(
        self, state: Any, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[Any, Ego]:
        """Each member advances its own samples."""
        return self.model.advance(state, ego, latent)

    def step(
        self, state: Any, ego: Ego, noise: Float[Tensor, "batch time latent"], number: int
    ) -> tuple[Any, Ego]:
        """Every member samples its latents from its own prior."""
        return self.model.step(state, ego, noise, number)
