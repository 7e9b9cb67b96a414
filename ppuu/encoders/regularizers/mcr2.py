"""Maximal coding rate reduction (2006.08558); a prediction and its target form a class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location


@dataclass(frozen=True)
class Mcr2Config:
    """Settings.

    Attributes:
        precision: squared coding precision of normalised embeddings (epsilon^2).
    """

    precision: float = 0.5

    def __post_init__(self):
        if not self.precision > 0:
            raise InputError(f"MCR2: precision {self.precision} must be positive")

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _Mcr2(self.precision)


class _Mcr2(Regularizer):
    def __init__(self, precision: float):
        super().__init__()
        self.precision = precision

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        pairs = torch.stack(
            [
                functional.normalize(by_time_and_location(rollout.predicted[:, 1:]), dim=-1),
                functional.normalize(by_time_and_location(rollout.target[:, 1:]), dim=-1),
            ],
            dim=2,
        )
        # All classes have the same size, so the mean of their rates is the weighted sum.
        named = {
            "rate": coding_rate(pairs.flatten(1, 2), self.precision).mean(),
            "rate_of_pairs": coding_rate(pairs, self.precision).mean(),
        }
        return Terms(named["rate_of_pairs"] - named["rate"], named)


def coding_rate(
    samples: Float[Tensor, "*shape n features"], precision: float
) -> Float[Tensor, "*shape"]:
    """Coding rate in nats: ``1/2 log det(I + D / (n eps^2) Z' Z)``."""
    n, features = samples.shape[-2:]
    # Both products give the same determinant; use the smaller one.
    products = samples @ samples.mT if n < features else samples.mT @ samples
    eye = torch.eye(products.shape[-1], device=samples.device, dtype=samples.dtype)
    return 0.5 * torch.logdet(eye + features / (n * precision) * products)
