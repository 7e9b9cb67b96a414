"""Barlow Twins (2103.03230): predictions and targets correlate feature by feature, and only so."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled
from .base import Regularizer, by_moment


@dataclass(frozen=True)
class BarlowTwinsConfig:
    """Settings.

    Attributes:
        redundancy: weight of the correlations between different features (lambda).
    """

    redundancy: float = 5e-3

    def __post_init__(self):
        if self.redundancy < 0:
            raise InputError(f"redundancy {self.redundancy} of Barlow Twins: must not be negative")

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _BarlowTwins(self)


class _BarlowTwins(Regularizer):
    def __init__(self, config: BarlowTwinsConfig):
        super().__init__()
        self.config = config

    def forward(self, unrolled: Unrolled) -> Terms:
        squares = (
            correlation(by_moment(unrolled.predicted[:, 1:]), by_moment(unrolled.target[:, 1:]))
            - torch.eye(unrolled.target.shape[-1], device=unrolled.target.device)
        ).square()
        diagonal = torch.diagonal(squares, dim1=1, dim2=2).sum(1)
        named = {"agreement": diagonal.mean()}
        named["redundancy"] = (squares.sum((1, 2)) - diagonal).mean()
        return Terms(named["agreement"] + self.config.redundancy * named["redundancy"], named)


def correlation(
    a: Float[Tensor, "moments batch features"], b: Float[Tensor, "moments batch features"]
) -> Float[Tensor, "moments features features"]:
    """Correlations over the batch of each feature of one with each of the other."""
    a, b = (
        (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        for x in (a, b)
    )
    return a.mT @ b / a.shape[1]
