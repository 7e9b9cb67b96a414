"""TiCo (2206.10698): transformation invariance and covariance contrast."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer


@dataclass(frozen=True)
class TiCoConfig:
    """Settings.

    Attributes:
        momentum: of the moving covariance (beta).
        contrast: weight of the covariance contrast (rho).
    """

    momentum: float = 0.9
    contrast: float = 8.0

    def __post_init__(self):
        if not 0.0 <= self.momentum < 1.0 or self.contrast < 0:
            raise InputError(
                f"TiCo: momentum {self.momentum} must be from 0 to below 1, contrast "
                f"{self.contrast} not negative"
            )

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _TiCo(self, features, locations)


class _TiCo(Regularizer):
    """Keeps a moving covariance for each location, updated in training mode only."""

    covariance: Tensor

    def __init__(self, config: TiCoConfig, features: int, locations: int):
        super().__init__()
        self.config = config
        self.register_buffer("covariance", torch.zeros(locations, features, features))

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        predicted, target, online = (
            functional.normalize(embeddings[:, 1:].flatten(0, 1).transpose(0, 1), dim=-1)
            for embeddings in (rollout.predicted, rollout.target, rollout.online)
        )
        with torch.no_grad():
            current = online.mT @ online / online.shape[1]
            covariance = torch.lerp(current, self.covariance, self.config.momentum)
            if self.training:
                self.covariance.copy_(covariance)
        named = {
            "invariance": 1.0 - (predicted * target).sum(-1).mean(),
            "covariance_contrast": ((online @ covariance) * online).sum(-1).mean(),
        }
        return Terms(
            named["invariance"] + self.config.contrast * named["covariance_contrast"], named
        )
