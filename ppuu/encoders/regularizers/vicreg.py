"""Variance, invariance, covariance (VICReg, 2105.04906; for unrolls: 2211.10831, 2502.14819)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location, prediction_error

Normalization = Literal["features", "pairs"]
"""Divisor of the sum of squared covariances: the number D of features, as in VICReg, or D (D - 1),
as in PLDM and eb_jepa.  At D = 512 the same weight is 511 times as strong with ``features``."""


@dataclass(frozen=True)
class VicRegConfig:
    """Weights.

    Attributes:
        prediction: of the squared error of predictions (invariance).
        variance: of the hinge on standard deviations over the batch.
        covariance: of squared covariances.
        normalization: divisor of the squared covariances.
        temporal_variance: of the hinge on standard deviations within a sequence; the only term
            against embeddings that are constant in each sequence.
        target_std: of the hinge (gamma).
    """

    prediction: float = 10.0
    variance: float = 10.0
    covariance: float = 1.0
    normalization: Normalization = "features"
    temporal_variance: float = 0.0
    target_std: float = 1.0

    def __post_init__(self):
        weights = (self.prediction, self.variance, self.covariance, self.temporal_variance)
        if min(weights) < 0 or not self.target_std > 0:
            raise InputError(f"VICReg: weights must not be negative, target_std positive: {self}")

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _VicReg(self)


class _VicReg(Regularizer):
    def __init__(self, config: VicRegConfig):
        super().__init__()
        self.config = config

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        config, online = self.config, by_time_and_location(rollout.online)
        within = rollout.online[:, 1:].transpose(1, 2).flatten(0, 1)
        named = {
            "prediction": prediction_error(rollout),
            "variance": std_hinge(online, config.target_std),
            "covariance": squared_covariance(online, config.normalization),
            "temporal_variance": std_hinge(within, config.target_std),
        }
        total = (
            config.prediction * named["prediction"]
            + config.variance * named["variance"]
            + config.covariance * named["covariance"]
        )
        if config.temporal_variance:
            total = total + config.temporal_variance * named["temporal_variance"]
        return Terms(total, named)


def std_hinge(
    samples: Float[Tensor, "groups samples features"], target_std: float
) -> Float[Tensor, ""]:
    """Hinge on the standard deviation: mean of max(0, target_std - sqrt(variance + 1e-4))."""
    std = (samples.var(1) + 1e-4).sqrt()
    return (target_std - std).clamp(min=0.0).mean()


def squared_covariance(
    samples: Float[Tensor, "groups samples features"], normalization: Normalization
) -> Float[Tensor, ""]:
    """Normalised sum of the squared off-diagonal covariances; mean over groups."""
    count, features = samples.shape[1:]
    centred = samples - samples.mean(1, keepdim=True)
    covariance = centred.mT @ centred / (count - 1)
    squares = covariance.square()
    off_diagonal = squares.sum((1, 2)) - torch.diagonal(squares, dim1=1, dim2=2).sum(1)
    pairs = features * max(1, features - 1)
    return off_diagonal.mean() / (features if normalization == "features" else pairs)
