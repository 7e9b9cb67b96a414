"""Decoupled contrastive learning (2110.06848): the positive leaves the denominator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled
from .base import Regularizer, by_moment, cosines


@dataclass(frozen=True)
class DclConfig:
    """Settings.

    Attributes:
        temperature: of the cosines.
        weight_deviation: sigma of the weighted form, which listens more to pairs that are still
            apart; 0 is the plain form.
    """

    temperature: float = 0.1
    weight_deviation: float = 0.0

    def __post_init__(self):
        if not self.temperature > 0 or self.weight_deviation < 0:
            raise InputError(
                f"DCL: temperature {self.temperature} must be positive, weight_deviation "
                f"{self.weight_deviation} not negative"
            )

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _Dcl(self)


class _Dcl(Regularizer):
    def __init__(self, config: DclConfig):
        super().__init__()
        self.config = config

    def forward(self, unrolled: Unrolled) -> Terms:
        predicted = by_moment(unrolled.predicted[:, 1:])
        target = by_moment(unrolled.target[:, 1:])
        loss = decoupled_contrast(
            predicted, target, self.config.temperature, self.config.weight_deviation
        ).mean()
        return Terms(loss, {"contrast": loss})


def decoupled_contrast(
    predicted: Float[Tensor, "groups n features"],
    target: Float[Tensor, "groups n features"],
    temperature: float,
    weight_deviation: float = 0.0,
) -> Float[Tensor, "groups 2 n"]:
    """The loss of each prediction and of each target among the others of its group.

    ``-w_i s_ii' / tau + log sum_{k != i} (exp(s_ik / tau) + exp(s_ik' / tau))`` with
    ``w_i = 2 - n softmax_i(s_ii' / sigma)``, or 1.
    """
    across = cosines(predicted, target)
    positive = torch.diagonal(across, dim1=1, dim2=2)
    weight = 1.0
    if weight_deviation:
        n = positive.shape[1]
        weight = 2.0 - n * torch.softmax(positive.detach() / weight_deviation, dim=1)
    itself = torch.eye(across.shape[1], dtype=torch.bool, device=across.device)
    losses = []
    for view, others in ((predicted, across), (target, across.mT)):
        candidates = torch.cat(
            [c.masked_fill(itself, -torch.inf) for c in (cosines(view, view), others)], dim=2
        )
        negative = torch.logsumexp(candidates / temperature, dim=2)
        losses.append(negative - weight * positive / temperature)
    return torch.stack(losses, dim=1)
