"""Baseline without training: a random network with a trained readout."""

from __future__ import annotations

from dataclasses import dataclass

from .base import NoRegularizer, Regularizer


@dataclass(frozen=True)
class UntrainedConfig:
    """Encoder and predictor keep their random initialisation; only the readout is trained."""

    def build(self, features: int, locations: int = 1) -> Regularizer:
        """No loss of embeddings."""
        return NoRegularizer()
