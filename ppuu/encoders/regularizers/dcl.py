"""Decoupled contrastive learning (2110.06848): InfoNCE without the positive in the denominator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location, cosine_similarities


@dataclass(frozen=True)
class DclConfig:
    """Settings.

    Attributes:
        temperature: of the cosine similarities.
        sigma: of the weighted form, which weights distant positive pairs more; 0 for the plain
            form.
    """

    temperature: float = 0.1
    sigma: float = 0.0

    def __post_init__(self):
        if not self.temperature > 0 or self.sigma < 0:
            raise InputError(
                f"DCL: temperature {self.temperature} must be positive, sigma "
                f"{self.sigma} not negative"
            )

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _Dcl(self)


class _Dcl(Regularizer):
    def __init__(self, config: DclConfig):
        super().__init__()
        self.config = config

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        predicted = by_time_and_location(rollout.predicted[:, 1:])
        target = by_time_and_location(rollout.target[:, 1:])
        loss = dcl_loss(predicted, target, self.config.temperature, self.config.sigma).mean()
        return Terms(loss, {"contrastive": loss})


def dcl_loss(
    predicted: Float[Tensor, "groups n features"],
    target: Float[Tensor, "groups n features"],
    temperature: float,
    sigma: float = 0.0,
) -> Float[Tensor, "groups 2 n"]:
    """The loss of each prediction and of each target, with the rest of its group as negatives.

    ``-w_i s_ii' / tau + log sum_{k != i} (exp(s_ik / tau) + exp(s_ik' / tau))`` with
    ``w_i = 2 - n softmax_i(s_ii' / sigma)``, or 1.
    """
    across = cosine_similarities(predicted, target)
    positive = torch.diagonal(across, dim1=1, dim2=2)
    weight = 1.0
    if sigma:
        n = positive.shape[1]
        weight = 2.0 - n * torch.softmax(positive.detach() / sigma, dim=1)
    itself = torch.eye(across.shape[1], dtype=torch.bool, device=across.device)
    losses = []
    for view, others in ((predicted, across), (target, across.mT)):
        candidates = torch.cat(
            [c.masked_fill(itself, -torch.inf) for c in (cosine_similarities(view, view), others)],
            dim=2,
        )
        negative = torch.logsumexp(candidates / temperature, dim=2)
        losses.append(negative - weight * positive / temperature)
    return torch.stack(losses, dim=1)
