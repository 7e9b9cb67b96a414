"""Sampling latents at a temperature."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..perception.observation import Observation
from ..predictions import Prediction
from ..runtime.errors import InputError
from .base import Predictor, WorldModel


class LatentTemperature(Predictor):
    """A world model whose latent noise is scaled: 1 samples the prior, 0 takes its mean.

    Samples of a calibrated model are as far from its mean as the recorded future, independently
    for each vehicle, so for a whole scene the best of a few samples may be worse than the mean.  A
    temperature below 1 trades calibration for accuracy.

    Args:
        model: any.
        temperature: standard deviation of the noise.

    Raises:
        InputError: the temperature is negative or not finite.
    """

    def __init__(self, model: WorldModel, temperature: float):
        if not 0.0 <= temperature < math.inf:
            raise InputError(f"temperature {temperature} must be finite and at least 0")
        self.model, self.temperature, self.spec = model, temperature, model.spec

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Those of the model."""
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
        """Samples from scaled noise."""
        like = observation.ego
        noise = self.model.noise(like, 1 if shared else len(like), samples, steps, generator)
        return self.model.rollout(observation, self.temperature * noise, ego)
