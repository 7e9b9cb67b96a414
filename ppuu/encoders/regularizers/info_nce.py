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
from ..unrolled import Unrolled
from .base import Regularizer, by_moment, cosines

Negatives = Literal["cross_sequence", "within_sequence", "both"]


@dataclass(frozen=True)
class InfoNceConfig:
    """Settings.

    Attributes:
        temperature: of the cosines.
        negatives: the other sequences at the same time, the other times of the same sequence, or
            both, as the mean of two losses.  What is constant in a sequence tells it from others,
            but not its times.
        views: with ``one``, a prediction is told from the targets of others and the other way
            round; with ``both``, also from the predictions of others (NT-Xent, 2N - 1 candidates).
    """

    temperature: float = 0.2
    negatives: Negatives = "cross_sequence"
    views: Literal["one", "both"] = "one"

    def __post_init__(self):
        if not self.temperature > 0:
            raise InputError(f"temperature {self.temperature} of InfoNCE: must be positive")

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _InfoNce(self)


class _InfoNce(Regularizer):
    def __init__(self, config: InfoNceConfig):
        super().__init__()
        self.config = config

    def forward(self, unrolled: Unrolled) -> Terms:
        predicted, target = unrolled.predicted[:, 1:], unrolled.target[:, 1:]
        losses = []
        if self.config.negatives != "within_sequence":
            losses.append(self._told_apart(by_moment(predicted), by_moment(target)))
        if self.config.negatives != "cross_sequence":
            losses.append(self._told_apart(_by_sequence(predicted), _by_sequence(target)))
        loss = torch.stack(losses).mean()
        return Terms(loss, {"contrast": loss})

    def _told_apart(self, predicted: Tensor, target: Tensor) -> Float[Tensor, ""]:
        contrast = contrast_both_views if self.config.views == "both" else contrast_one_view
        return contrast(predicted, target, self.config.temperature)


def _by_sequence(
    embeddings: Float[Tensor, "batch time places features"],
) -> Float[Tensor, "sequences time features"]:
    """The times of each sequence at each place."""
    return embeddings.transpose(1, 2).flatten(0, 1)


def contrast_one_view(
    predicted: Float[Tensor, "groups n features"],
    target: Float[Tensor, "groups n features"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Symmetric cross-entropy of recognising the n pairs of each group."""
    logits = cosines(predicted, target) / temperature
    return 0.5 * (_picked(logits) + _picked(logits.mT))


def contrast_both_views(
    predicted: Float[Tensor, "groups n features"],
    target: Float[Tensor, "groups n features"],
    temperature: float,
) -> Float[Tensor, ""]:
    """NT-Xent: among all others of both kinds but oneself."""
    all_ = torch.cat([predicted, target], dim=1)
    logits = cosines(all_, all_) / temperature
    itself = torch.eye(all_.shape[1], dtype=torch.bool, device=all_.device)
    return _picked(logits.masked_fill(itself, -torch.inf).roll(predicted.shape[1], 2))


def _picked(logits: Float[Tensor, "groups n n"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the diagonal."""
    answer = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return functional.cross_entropy(logits.flatten(0, 1), answer.flatten())
