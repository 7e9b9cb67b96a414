"""Embeddings that learn nothing: what a random network and a readout get to know by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from .base import NoDemands, Regularizer


@dataclass(frozen=True)
class UntrainedConfig:
    """Encoder and predictor stay as they were drawn; only the readout learns."""

    def build(self, features: int, places: int = 1) -> Regularizer:
        """A loss that asks nothing of embeddings."""
        return NoDemands()
