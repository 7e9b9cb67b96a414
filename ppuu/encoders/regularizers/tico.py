"""TiCo (2206.10698): transformation invariance and covariance contrast."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import InputError
from ...terms import Terms
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

    def build(self, features: int) -> Regularizer:
        """The loss."""
        return _TiCo(self, features)


class _TiCo(Regularizer):
    """Keeps the moving covariance of all embeddings as a buffer; evaluation leaves it alone."""

    covariance: Tensor

    def __init__(self, config: TiCoConfig, features: int):
        super().__init__()
        self.config = config
        self.register_buffer("covariance", torch.zeros(features, features))

    def forward(self, unrolled: Unrolled) -> Terms:
        predicted = functional.normalize(unrolled.predicted[:, 1:].flatten(0, 2), dim=-1)
        target = functional.normalize(unrolled.target[:, 1:].flatten(0, 2), dim=-1)
        with torch.no_grad():
            now = target.mT @ target / len(target)
            covariance = torch.lerp(now, self.covariance, self.config.memory)
            if self.training:
                self.covariance.copy_(covariance)
        named = {
            "agreement": 1.0 - (predicted * target).sum(-1).mean(),
            "crowding": ((target @ covariance) * target).sum(-1).mean(),
        }
        return Terms(named["agreement"] + self.config.contrast * named["crowding"], named)
