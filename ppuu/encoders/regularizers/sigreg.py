"""SIGReg (2511.08544): random projections of embeddings are tested for normality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...runtime.errors import InputError
from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout
from .base import Regularizer, by_time_and_location, prediction_error

_KNOTS, _LAST = 17, 3.0


@dataclass(frozen=True)
class SigRegConfig:
    """Settings.

    Attributes:
        weight: of the test in the loss (lambda), 1 - lambda of the prediction error.
        directions: number of random projections, sampled for each batch.
    """

    weight: float = 0.05
    directions: int = 256

    def __post_init__(self):
        if not 0.0 <= self.weight <= 1.0 or self.directions < 1:
            raise InputError(
                f"SIGReg: weight {self.weight} must be from 0 to 1, directions {self.directions} "
                "positive"
            )

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """The loss."""
        return _SigReg(self)


class _SigReg(Regularizer):
    """Directions are seeded by the number of the batch, so that all ranks sample the same."""

    batches: Tensor

    def __init__(self, config: SigRegConfig):
        super().__init__()
        self.config = config
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        samples = by_time_and_location(rollout.online)
        samples = samples.to(torch.promote_types(samples.dtype, torch.float32))
        generator = torch.Generator().manual_seed(int(self.batches))
        directions = torch.randn(samples.shape[-1], self.config.directions, generator=generator)
        directions = functional.normalize(directions, dim=0).to(samples)
        if self.training:
            self.batches += 1
        named = {
            "prediction": prediction_error(rollout),
            "normality": epps_pulley(samples @ directions),
        }
        weight = self.config.weight
        return Terms((1.0 - weight) * named["prediction"] + weight * named["normality"], named)


def epps_pulley(samples: Float[Tensor, "groups n directions"]) -> Float[Tensor, ""]:
    """Epps-Pulley statistic: distance of the empirical characteristic function to that of N(0, 1).

    ``n * integral w(t) |mean exp(itx) - exp(-t^2 / 2)|^2 dt`` with ``w(t) = exp(-t^2 / 2)``, by the
    trapezoid rule with 17 knots on [0, 3], doubled by symmetry; mean over groups and directions.
    It includes the factor ``n``, so a weight holds for one batch size.
    """
    t = torch.linspace(0.0, _LAST, _KNOTS, device=samples.device, dtype=samples.dtype)
    normal = torch.exp(-0.5 * t.square())
    angle = samples[..., None] * t
    real, imaginary = angle.cos().mean(1), angle.sin().mean(1)
    squared_distance = (real - normal).square() + imaginary.square()
    return samples.shape[1] * 2.0 * torch.trapezoid(normal * squared_distance, t, dim=-1).mean()
