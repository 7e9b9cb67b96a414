"""Variance, invariance, covariance (VICReg, 2105.04906; for unrolls: 2211.10831, 2502.14819)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled
from .base import Regularizer, by_moment, prediction_error

Normalization = Literal["features", "pairs"]
"""What the sum of squared covariances is divided by: the number D of features, as VICReg does, or
D (D - 1), as PLDM and eb_jepa do.  At D = 512 the same weight means 511 times as much."""


@dataclass(frozen=True)
class VicRegConfig:
    """Weights.

    Attributes:
        prediction: of the squared error of predictions.
        variance: of what deviations over the batch lack to ``deviation``.
        covariance: of squared covariances.
        normalization: what the latter are divided by.
        temporal_variance: of what deviations within a sequence lack; the one term that punishes
            an embedding that is constant in each.
        deviation: the goal (gamma).
    """

    prediction: float = 10.0
    variance: float = 10.0
    covariance: float = 1.0
    normalization: Normalization = "features"
    temporal_variance: float = 0.0
    deviation: float = 1.0

    def __post_init__(self):
        weights = (self.prediction, self.variance, self.covariance, self.temporal_variance)
        if min(weights) < 0 or not self.deviation > 0:
            raise InputError(f"VICReg: no weight may be negative, and deviation positive: {self}")

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _VicReg(self)


class _VicReg(Regularizer):
    def __init__(self, config: VicRegConfig):
        super().__init__()
        self.config = config

    def forward(self, unrolled: Unrolled) -> Terms:
        config, online = self.config, by_moment(unrolled.online)
        within = unrolled.online[:, 1:].transpose(1, 2).flatten(0, 1)
        named = {
            "prediction": prediction_error(unrolled),
            "variance": lacking_deviation(online, config.deviation),
            "covariance": squared_covariance(online, config.normalization),
            "temporal_variance": lacking_deviation(within, config.deviation),
        }
        total = (
            config.prediction * named["prediction"]
            + config.variance * named["variance"]
            + config.covariance * named["covariance"]
        )
        if config.temporal_variance:
            total = total + config.temporal_variance * named["temporal_variance"]
        return Terms(total, named)


def lacking_deviation(
    samples: Float[Tensor, "moments samples features"], goal: float
) -> Float[Tensor, ""]:
    """Mean over features of max(0, goal - sqrt(variance + 1e-4))."""
    deviation = (samples.var(1) + 1e-4).sqrt()
    return (goal - deviation).clamp(min=0.0).mean()


def squared_covariance(
    samples: Float[Tensor, "moments samples features"], normalization: Normalization
) -> Float[Tensor, ""]:
    """Sum of the squares off the covariance's diagonal, divided as declared; mean over moments."""
    count, features = samples.shape[1:]
    centred = samples - samples.mean(1, keepdim=True)
    covariance = centred.mT @ centred / (count - 1)
    squares = covariance.square()
    off = squares.sum((1, 2)) - torch.diagonal(squares, dim1=1, dim2=2).sum(1)
    pairs = features * max(1, features - 1)
    return off.mean() / (features if normalization == "features" else pairs)
