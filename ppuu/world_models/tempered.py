"""Samples closer to the most likely future than the prior's are."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..perception.observation import Observation
from ..predictions import Prediction
from ..runtime.errors import InputError
from .base import Predictor, WorldModel


class Tempered(Predictor):
    """A world model whose noise is scaled: 1 is the prior, 0 the most likely future alone.

    Samples of a calibrated model lie as far from its mean as the truth does, every vehicle on its
    own, so the best of few for a whole scene may be worse than the mean.  Closer ones give up
    honest spread for that.

    Args:
        model: any.
        temperature: standard deviations of the noise that latents are made of.

    Raises:
        InputError: the temperature is negative or not finite.
    """

    def __init__(self, model: WorldModel, temperature: float):
        if not 0.0 <= temperature < math.inf:
            raise InputError(f"temperature {temperature}: must be finite and not negative")
        self.model, self.temperature, self.spec = model, temperature, model.spec

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """As the model's."""
        return self.model.image_poses(observation, ego)

    def predict(
        self,
        observation: Observation,
        steps: int,
        samples: int,
        generator: torch.Generator,
        ego: Float[Tensor, "batch candidates time 4"] | None = None,
        shared: bool = False,
    ) -> Prediction:
        """Of scaled noise."""
        like = observation.ego
        noise = self.model.noise(like, 1 if shared else len(like), samples, steps, generator)
        return self.model.rollout(observation, self.temperature * noise, ego)
