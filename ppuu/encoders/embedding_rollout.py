"""Predicted embeddings of a rollout, with their targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class EmbeddingRollout:
    """Embeddings of a batch of sequences.

    A spatial map has a *location* for each of its cells, a global vector has one.  Statistics are
    over the sequences of a batch, separately for each location: pooled over locations, an embedding
    that encodes only the position would seem to vary.

    Attributes:
        predicted: ``(batch, time, locations, features)``; the first one is the target's.
        target: target embeddings, of the images at the same times.
        online: embeddings of the trained encoder: the targets, unless a target encoder made those.
            Regularisers of embeddings apply to these.
    """

    predicted: Float[Tensor, "batch time locations features"]
    target: Float[Tensor, "batch time locations features"]
    online: Float[Tensor, "batch time locations features"]

    @classmethod
    def of(
        cls,
        predicted: Float[Tensor, "batch time locations features"],
        target: Float[Tensor, "batch time locations features"],
    ) -> EmbeddingRollout:
        """With targets of the trained encoder."""
        return cls(predicted, target, target)

    def map(self, function: Callable[[Tensor], Tensor]) -> EmbeddingRollout:
        """The function applied to all embeddings."""
        target = function(self.target)
        online = target if self.online is self.target else function(self.online)
        return EmbeddingRollout(function(self.predicted), target, online)

    def float(self) -> EmbeddingRollout:
        """In single precision."""
        return self.map(Tensor.float)


def as_locations(
    maps: Float[Tensor, "*shape features rows columns"],
) -> Float[Tensor, "*shape locations features"]:
    """Maps, flattened to locations."""
    return maps.flatten(-2).transpose(-1, -2)
