"""Barlow Twins (2103.03230): the cross-correlation of predictions and targets is the identity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location


@dataclass(frozen=True)
class BarlowTwinsConfig:
    """Settings.

    Attributes:
        redundancy: weight of redundancy reduction, the off-diagonal correlations (lambda).
    """

    redundancy: float = 5e-3

    def __post_init__(self):
        if self.redundancy < 0:
            raise InputError(f"Barlow Twins: redundancy {self.redundancy} must not be negative")

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _BarlowTwins(self)


class _BarlowTwins(Regularizer):
    def __init__(self, config: BarlowTwinsConfig):
        super().__init__()
        self.config = config

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        squares = (
            correlation(
                by_time_and_location(rollout.predicted[:, 1:]),
                by_time_and_location(rollout.target[:, 1:]),
            )
            - torch.eye(rollout.target.shape[-1], device=rollout.target.device)
        ).square()
        diagonal = torch.diagonal(squares, dim1=1, dim2=2).sum(1)
        named = {"invariance": diagonal.mean()}
        named["redundancy"] = (squares.sum((1, 2)) - diagonal).mean()
        return Terms(named["invariance"] + self.config.redundancy * named["redundancy"], named)


def correlation(
    a: Float[Tensor, "groups batch features"], b: Float[Tensor, "groups batch features"]
) -> Float[Tensor, "groups features features"]:
    """Cross-correlation matrix over the batch."""
    a, b = (
        (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        for x in (a, b)
    )
    return a.mT @ b / a.shape[1]
