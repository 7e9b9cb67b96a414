"""The world as a predictor tells it, learned or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..observation import Observation, ObservationConfig
from ..policies.base import Surroundings
from ..rollout import Futures
from ..track_futures import TrackFutures
from ..world_models import Predictor, WorldModel, replicas
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
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        futures: int,
        generator: torch.Generator,
    ) -> Foresight:
        """Sampled futures; the true surroundings are not looked at."""
        return self.imagine(observation, steps, futures, generator)

    def imagine(
        self, observation: Observation, steps: int, futures: int, generator: torch.Generator
    ) -> Foresight:
        """The same, for those who have nothing but an observation."""
        model = self.predictor
        if not isinstance(model, WorldModel):
            return self._along(observation, lambda seen, ego: model.imagine(seen, steps, futures))
        shape = (1, futures, steps, model.latent_size)
        draws = torch.randn(shape, generator=generator, device=generator.device)
        draws = draws.to(observation.ego)

        def imagine(seen: Observation, ego: Tensor | None) -> Futures | TrackFutures:
            latents = draws.expand(len(seen.ego), -1, -1, -1)
            return model.imagine(seen, steps, futures, ego=ego, latents=latents)

        return self._along(observation, imagine)

    def replicas(self, observation: Observation, steps: int, count: int) -> Foresight:
        """The members of an ensemble, or one model with different dropout masks."""
        model = self.predictor
        if not isinstance(model, WorldModel):
            return super().replicas(observation, steps, count)
        seed = int(torch.randint(2**31, ()))

        def imagine(seen: Observation, ego: Tensor | None) -> Futures | TrackFutures:
            # A coupled model is asked again for each set of candidates: by the same chances.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return replicas(model, seen, steps, count, ego=ego)

        return self._along(observation, imagine)

    def _along(
        self,
        observation: Observation,
        imagine: Callable[[Observation, Tensor | None], Futures | TrackFutures],
    ) -> Foresight:
        """Once for all candidates if the model is decoupled, else along each path."""
        batch = len(observation.ego)
        if self.predictor.decoupled:
            with torch.no_grad():
                return for_candidates(imagine(observation, None), batch)
        seen = {batch: observation}

        def foresight(
            states: Float[Tensor, "rows time 4"], actions: Float[Tensor, "rows time 2"]
        ) -> Futures | TrackFutures:
            rows = len(states)
            if rows not in seen:
                seen[rows] = observation.repeat(rows // batch)
            return imagine(seen[rows], states)

        return foresight
