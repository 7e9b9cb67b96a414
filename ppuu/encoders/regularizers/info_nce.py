"""Contrastive prediction: InfoNCE (1807.03748) and its SimCLR form (2002.05709)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location, cosine_similarities

Negatives = Literal["cross_sequence", "within_sequence", "both"]


@dataclass(frozen=True)
class InfoNceConfig:
    """Settings.

    Attributes:
        temperature: of the cosine similarities.
        negatives: the other sequences at the same time, the other times of the same sequence, or
            both, as the mean of two losses.  Features that are constant in a sequence suffice for
            the first, not for the second.
        views: negatives of a prediction are the targets of others and vice versa (``one``), or
            also the predictions of others (``both``: NT-Xent, 2N - 1 candidates).
    """

    temperature: float = 0.2
    negatives: Negatives = "cross_sequence"
    views: Literal["one", "both"] = "one"

    def __post_init__(self):
        if not self.temperature > 0:
            raise InputError(f"InfoNCE: temperature {self.temperature} must be positive")

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _InfoNce(self)


class _InfoNce(Regularizer):
    def __init__(self, config: InfoNceConfig):
        super().__init__()
        self.config = config

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        predicted, target = rollout.predicted[:, 1:], rollout.target[:, 1:]
        losses = []
        if self.config.negatives != "within_sequence":
            losses.append(self._loss(by_time_and_location(predicted), by_time_and_location(target)))
        if self.config.negatives != "cross_sequence":
            losses.append(self._loss(_by_sequence(predicted), _by_sequence(target)))
        loss = torch.stack(losses).mean()
        return Terms(loss, {"contrastive": loss})

    def _loss(self, predicted: Tensor, target: Tensor) -> Float[Tensor, ""]:
        loss = nt_xent_loss if self.config.views == "both" else info_nce_loss
        return loss(predicted, target, self.config.temperature)


def _by_sequence(
    embeddings: Float[Tensor, "batch time locations features"],
) -> Float[Tensor, "sequences time features"]:
    """Groups of the times of each sequence, one for each location."""
    return embeddings.transpose(1, 2).flatten(0, 1)


def info_nce_loss(
    predicted: Float[Tensor, "groups n features"],
    target: Float[Tensor, "groups n features"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of identifying the n pairs of each group."""
    logits = cosine_similarities(predicted, target) / temperature
    return 0.5 * (_diagonal_cross_entropy(logits) + _diagonal_cross_entropy(logits.mT))


def nt_xent_loss(
    predicted: Float[Tensor, "groups n features"],
    target: Float[Tensor, "groups n features"],
    temperature: float,
) -> Float[Tensor, ""]:
    """NT-Xent: negatives are all other predictions and targets of the group."""
    views = torch.cat([predicted, target], dim=1)
    logits = cosine_similarities(views, views) / temperature
    itself = torch.eye(views.shape[1], dtype=torch.bool, device=views.device)
    return _diagonal_cross_entropy(
        logits.masked_fill(itself, -torch.inf).roll(predicted.shape[1], 2)
    )


def _diagonal_cross_entropy(logits: Float[Tensor, "groups n n"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the diagonal."""
    labels = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
