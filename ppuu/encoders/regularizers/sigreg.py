"""SIGReg (2511.08544): along random directions, embeddings shall be standard normal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled
from .base import Regularizer, by_moment, prediction_error

_KNOTS, _LAST = 17, 3.0


@dataclass(frozen=True)
class SigRegConfig:
    """Settings.

    Attributes:
        share: of the test in the loss (lambda); the rest is prediction.
        directions: random ones, drawn anew for each batch.
    """

    share: float = 0.05
    directions: int = 256

    def __post_init__(self):
        if not 0.0 <= self.share <= 1.0 or self.directions < 1:
            raise InputError(
                f"SIGReg: share {self.share} must be from 0 to 1, directions {self.directions} "
                "positive"
            )

    def build(self, features: int, places: int = 1) -> Regularizer:
        """The loss."""
        return _SigReg(self)


class _SigReg(Regularizer):
    """Directions follow from the number of the batch, so that all ranks draw the same."""

    batches: Tensor

    def __init__(self, config: SigRegConfig):
        super().__init__()
        self.config = config
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, unrolled: Unrolled) -> Terms:
        samples = by_moment(unrolled.online)
        samples = samples.to(torch.promote_types(samples.dtype, torch.float32))
        generator = torch.Generator().manual_seed(int(self.batches))
        directions = torch.randn(samples.shape[-1], self.config.directions, generator=generator)
        directions = functional.normalize(directions, dim=0).to(samples)
        if self.training:
            self.batches += 1
        named = {
            "prediction": prediction_error(unrolled),
            "normality": epps_pulley(samples @ directions),
        }
        share = self.config.share
        return Terms((1.0 - share) * named["prediction"] + share * named["normality"], named)


def epps_pulley(samples: Float[Tensor, "moments n directions"]) -> Float[Tensor, ""]:
    """How far samples are from the standard normal, by their characteristic functions.

    ``n * integral w(t) |mean exp(itx) - exp(-t^2 / 2)|^2 dt`` with ``w(t) = exp(-t^2 / 2)``, by the
    trapezoid rule with 17 knots on [0, 3], doubled by symmetry; mean over moments and directions.
    The factor ``n`` is part of it: a weight found for one batch size is one for that size.
    """
    t = torch.linspace(0.0, _LAST, _KNOTS, device=samples.device, dtype=samples.dtype)
    normal = torch.exp(-0.5 * t.square())
    angle = samples[..., None] * t
    real, imaginary = angle.cos().mean(1), angle.sin().mean(1)
    apart = (real - normal).square() + imaginary.square()
    return samples.shape[1] * 2.0 * torch.trapezoid(normal * apart, t, dim=-1).mean()
