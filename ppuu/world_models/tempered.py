"""Futures closer to the most likely one than the prior's samples are."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from ..observation import Observation
from ..rollout import Futures
from ..track_futures import TrackFutures
from .base import Predictor, WorldModel


class Tempered(Predictor):
    """A world model whose noise is scaled: 1 is the prior, 0 the most likely future alone.

    Futures of a calibrated model lie as far from its mean as the truth does, every vehicle on its
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
        self.model, self.temperature = model, temperature
        self.frames_per_step, self.dt_s = model.frames_per_step, model.dt_s
        self.decoupled, self.predicts_images = model.decoupled, model.predicts_images
        self.paints_images, self.observation = model.paints_images, model.observation

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """As the model's."""
        return self.model.image_poses(observation, ego)

    def imagine(
        self,
        observation: Observation,
        steps: int,
        futures: int,
        ego: Float[Tensor, "batch time 4"] | None = None,
    ) -> Futures | TrackFutures:
        """Of scaled noise."""
        size = (len(observation.ego), futures, steps, self.model.latent_size)
        noise = self.temperature * observation.ego.new_empty(size).normal_()
        return self.model.imagine(observation, steps, futures, ego=ego, latents=noise)
