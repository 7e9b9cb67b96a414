"""Predictions of a model, learned or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..predictions import Prediction
from ..world_models import ModelSpec, Predictor, WorldModel
from .base import PredictionFunction, PredictionSource, unconditioned


@dataclass(frozen=True, eq=False)
class ModelSource(PredictionSource):
    """Predicts once if predictions do not depend on the ego, otherwise along each path.

    Attributes:
        predictor: any.
    """

    predictor: Predictor
    privileged: ClassVar[bool] = False

    @property
    def spec(self) -> ModelSpec:  # type: ignore[override]
        """That of the predictor."""
        return self.predictor.spec

    def networks(self) -> list[nn.Module]:
        """The predictor, if it is a network."""
        return [self.predictor] if isinstance(self.predictor, nn.Module) else []

    def predict(
        self,
        observation: Observation,
        privileged_state: PrivilegedState,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """Samples; the privileged state is ignored."""
        return self.predict_from(observation, steps, samples, generator)

    def predict_from(
        self, observation: Observation, steps: int, samples: int, generator: torch.Generator
    ) -> PredictionFunction:
        """The same, for callers without a privileged state."""
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
    """Draws all noise at once, so that equal paths get equal predictions."""
    with torch.no_grad():
        if not model.spec.conditioned_on_ego:
            prediction = model.predict(observation, steps, samples, generator, shared=True)
            return unconditioned(prediction)
        assert isinstance(model, WorldModel)
        noise = model.noise(observation.ego, 1, samples, steps, generator)
        initial = model.begin(observation)

    def conditioned(
        states: Float[Tensor, "batch candidates time 4"],
        actions: Float[Tensor, "batch candidates time 2"],
    ) -> Prediction:
        return model.rollout_from(initial, observation, noise, states)

    return conditioned
