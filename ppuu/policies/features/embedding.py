"""A trained world model's embedding of the history, its encoder frozen."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...perception.observation import Observation, ObservationConfig
from ...world_models import TokensConfig, WorldModelConfig


@dataclass(frozen=True)
class EmbeddingConfig:
    """Whose embedding.

    Attributes:
        world_model: configuration of the world model; its weights come with the policy's.
    """

    world_model: WorldModelConfig = field(default_factory=TokensConfig)

    @property
    def observation(self) -> ObservationConfig:
        """What the world model wants to see."""
        return self.world_model.observation

    def build(self) -> EmbeddingFeatures:
        """With weights yet to be loaded."""
        return EmbeddingFeatures(self)


class EmbeddingFeatures(nn.Module):
    """The embedding, and the ego's history beside it.

    Attributes:
        width: of the features.
        world_model: frozen, always in evaluation mode.
    """

    def __init__(self, config: EmbeddingConfig):
        super().__init__()
        self.world_model = config.world_model.build().requires_grad_(False).eval()
        self.norm = nn.LayerNorm(self.world_model.spec.embedding)
        self.width = self.world_model.spec.embedding + config.observation.frames * 4 + 2

    def train(self, mode: bool = True) -> EmbeddingFeatures:
        """The world model stays as it is."""
        super().train(mode)
        self.world_model.eval()
        return self

    def forward(
        self, observation: Observation, ego: Float[Tensor, "batch ego"]
    ) -> Float[Tensor, "batch features"]:
        """Differentiable with respect to the ego's states; the encoder's weights stay."""
        embedding = self.world_model.embedding(self.world_model.begin(observation))
        return torch.cat([self.norm(embedding), ego], dim=1)
