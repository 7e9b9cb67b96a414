"""Predictions of a model, learned or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..perception.observation import Observation, ObservationConfig
from ..perception.surroundings import Surroundings
from ..predictions import Prediction
from ..world_models import Predictor, WorldModel
from .base import PredictionFunction, PredictionSource, unconditioned


@dataclass(frozen=True, eq=False)
class ModelSource(PredictionSource):
    """Computed once where predictions do not depend on the ego; else along each path.

    Attributes:
        predictor: any.
    """

    predictor: Predictor
    privileged: ClassVar[bool] = False

    @property
    def observation(self) -> ObservationConfig:  # type: ignore[override]
        """What the predictor wants to see."""
        return self.predictor.observation

    @property
    def frames_per_step(self) -> int:  # type: ignore[override]
        """The predictor's step."""
        return self.predictor.frames_per_step

    @property
    def dt_s(self) -> float:  # type: ignore[override]
        """The predictor's frame."""
        return self.predictor.dt_s

    @property
    def conditioned_on_ego(self) -> bool:
        """As the predictor."""
        return self.predictor.spec.conditioned_on_ego

    def networks(self) -> list[nn.Module]:
        """The predictor, if it learned."""
        return [self.predictor] if isinstance(self.predictor, nn.Module) else []

    def predict(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """Samples; the true surroundings are not looked at."""
        return self.predict_from(observation, steps, samples, generator)

    def predict_from(
        self, observation: Observation, steps: int, samples: int, generator: torch.Generator
    ) -> PredictionFunction:
        """The same, for those who have nothing but an observation."""
        return _function(self.predictor, observation, steps, samples, generator)

    def replicas(
        self, observation: Observation, steps: int, count: int, generator: torch.Generator
    ) -> PredictionFunction:
        """The members of an ensemble, or one model with different dropout masks."""
        replicated = self.predictor.replicas(count, generator)
        return _function(replicated, observation, steps, replicated.count, generator)


def _function(
    model: Predictor, observation: Observation, steps: int, samples: int, generator: torch.Generator
) -> PredictionFunction:
    """All chances are drawn here and now, so that equal paths meet equal surroundings."""
    with torch.no_grad():
        if not model.spec.conditioned_on_ego:
            predicted = model.predict(observation, steps, samples, generator, shared=True)
            return unconditioned(predicted)
        assert isinstance(model, WorldModel)
        noise = model.noise(observation.ego, 1, samples, steps, generator)
        begun = model.begin(observation)

    def along(
        states: Float[Tensor, "batch candidates time 4"],
        actions: Float[Tensor, "batch candidates time 2"],
    ) -> Prediction:
        return model.rollout_from(begun, observation, noise, states)

    return along
