"""What a predictor is: its inputs, its step and its latent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..perception.observation import ObservationConfig
from ..perception.raster_image import RasterConfig
from ..predictions import TargetConfig


@dataclass(frozen=True)
class ModelSpec:
    """Properties of a predictor that its users depend on.

    Attributes:
        observation: the history that is its input, and the size and scale of images.
        frames_per_step: recorded frames per step.
        dt_s: seconds between recorded frames.
        conditioned_on_ego: whether predictions depend on the ego's path.  If not, one prediction
            serves all candidates.
        moves_ego: whether the model predicts the ego's motion as well, instead of taking it as
            given.
        latent: width of the latent of a step.
        latent_span: whether every step has a latent of its own, or the whole rollout one.
        embedding: width of the embedding; 0 if there is none.
        target: what the training loss compares predictions with.
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


def tracks_spec(
    observation: ObservationConfig, frames_per_step: int = 3, dt_s: float = 0.1
) -> ModelSpec:
    """The spec of a deterministic predictor of tracks."""
    return ModelSpec(observation, frames_per_step, dt_s, target=TargetConfig(tracks=True))


class HasSpec:
    """Shorthands for what a ``ModelSpec`` holds.

    Attributes:
        spec: the properties.
    """

    spec: ModelSpec

    @property
    def observation(self) -> ObservationConfig:
        """The history that is the input."""
        return self.spec.observation

    @property
    def raster(self) -> RasterConfig:
        """Size and scale of images."""
        return self.observation.raster

    @property
    def frames_per_step(self) -> int:
        """Recorded frames per step."""
        return self.spec.frames_per_step

    @property
    def dt_s(self) -> float:
        """Seconds between recorded frames."""
        return self.spec.dt_s

    @property
    def step_s(self) -> float:
        """Seconds per step."""
        return self.frames_per_step * self.dt_s
