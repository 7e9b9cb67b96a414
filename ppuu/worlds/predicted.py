"""The world as a predictor tells it, learned or not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..observation import Observation, ObservationConfig
from ..policies.base import Surroundings
from ..rollout import Futures
from ..track_futures import TrackFutures
from ..world_models.base import Predictor
from .base import Foresight, World, for_candidates


@dataclass(frozen=True, eq=False)
class PredictedWorld(World):
    """Futures of a decoupled predictor are computed once; a coupled one is asked for each path.

    Attributes:
        predictor: any.
    """

    predictor: Predictor

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

    def foresee(
        self, observation: Observation, surroundings: Surroundings, steps: int, futures: int
    ) -> Foresight:
        """Sampled futures; the true surroundings are not looked at."""
        predictor = self.predictor
        if predictor.decoupled:
            with torch.no_grad():
                told = predictor.imagine(observation, steps, futures)
            return for_candidates(told, len(observation.ego))

        def foresight(
            states: Float[Tensor, "rows time 4"], actions: Float[Tensor, "rows time 2"]
        ) -> Futures | TrackFutures:
            history = observation.repeat(len(states) // len(observation.ego))
            return predictor.imagine(history, steps, futures, ego=states)

        return foresight
