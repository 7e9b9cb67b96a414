"""DirectCLR (2110.09348): contrastive loss on the first few features, without projector."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location
from .info_nce import info_nce_loss


@dataclass(frozen=True)
class DirectClrConfig:
    """Settings.

    Attributes:
        fraction: of the features in the contrastive loss (360 of 2048 in the paper).
        temperature: of the cosine similarities.
    """

    fraction: float = 0.18
    temperature: float = 0.1

    def __post_init__(self):
        if not 0.0 < self.fraction <= 1.0 or not self.temperature > 0:
            raise InputError(
                f"DirectCLR: fraction {self.fraction} must be from above 0 to 1, temperature "
                f"{self.temperature} positive"
            )

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _DirectClr(max(1, round(self.fraction * features)), self.temperature)


class _DirectClr(Regularizer):
    def __init__(self, features: int, temperature: float):
        super().__init__()
        self.features, self.temperature = features, temperature

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        predicted = by_time_and_location(rollout.predicted[:, 1:, :, : self.features])
        target = by_time_and_location(rollout.target[:, 1:, :, : self.features])
        loss = info_nce_loss(predicted, target, self.temperature)
        return Terms(loss, {"contrastive": loss})
