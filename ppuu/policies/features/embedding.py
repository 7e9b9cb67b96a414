"""Features from the embedding of a trained world model with frozen encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...perception.observation import Observation, ObservationConfig
from ...world_models import TokensConfig, WorldModelConfig


@dataclass(frozen=True)
class EmbeddingConfig:
    """World model of the embedding.

    Attributes:
        world_model: configuration of the world model; its weights come with the policy's.
    """

    world_model: WorldModelConfig = field(default_factory=TokensConfig)

    @property
    def observation(self) -> ObservationConfig:
        """The world model's observation."""
        return self.world_model.observation

    def build(self) -> EmbeddingFeatures:
        """A new module; the weights are loaded later."""
        return EmbeddingFeatures(self)


class EmbeddingFeatures(nn.Module):
    """The normalised embedding, concatenated with the ego's history.

    Attributes:
        width: number of features.
        world_model: frozen, always in evaluation mode.
    """

    def __init__(self, config: EmbeddingConfig):
        super().__init__()
        self.world_model = config.world_model.build().requires_grad_(False).eval()
        self.norm = nn.LayerNorm(self.world_model.spec.embedding)
        self.width = self.world_model.spec.embedding + config.observation.frames * 4 + 2

    def train(self, mode: bool = True) -> EmbeddingFeatures:
        """The world model stays in evaluation mode."""
        super().train(mode)
        self.world_model.eval()
        return self

    def forward(
        self, observation: Observation, ego: Float[Tensor, "batch ego"]
    ) -> Float[Tensor, "batch features"]:
        """Differentiable with respect to the ego's states; the encoder's weights are frozen."""
        embedding = self.world_model.embedding(self.world_model.begin(observation))
        return torch.cat([self.norm(embedding), ego], dim=1)
