"""TiCo (2206.10698): transformation invariance and covariance contrast."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled
from .base import Regularizer


@dataclass(frozen=True)
class TiCoConfig:
    """Settings.

    Attributes:
        memory: of the moving covariance (beta).
        contrast: weight of directions that are already crowded (rho).
    """

    memory: float = 0.9
    contrast: float = 8.0

    def __post_init__(self):
        if not 0.0 <= self.memory < 1.0 or self.contrast < 0:
            raise InputError(
                f"TiCo: memory {self.memory} must be from 0 to below 1, contrast {self.contrast} "
                "not negative"
            )

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _TiCo(self, features, places)


class _TiCo(Regularizer):
    """Keeps moving covariances of embeddings, one for each place; evaluation leaves them alone."""

    covariance: Tensor

    def __init__(self, config: TiCoConfig, features: int, places: int):
        super().__init__()
        self.config = config
        self.register_buffer("covariance", torch.zeros(places, features, features))

    def forward(self, unrolled: Unrolled) -> Terms:
        predicted, target, online = (
            functional.normalize(seen[:, 1:].flatten(0, 1).transpose(0, 1), dim=-1)
            for seen in (unrolled.predicted, unrolled.target, unrolled.online)
        )
        with torch.no_grad():
            now = online.mT @ online / online.shape[1]
            covariance = torch.lerp(now, self.covariance, self.config.memory)
            if self.training:
                self.covariance.copy_(covariance)
        named = {
            "agreement": 1.0 - (predicted * target).sum(-1).mean(),
            "crowding": ((online @ covariance) * online).sum(-1).mean(),
        }
        return Terms(named["agreement"] + self.config.contrast * named["crowding"], named)
