"""What an unroll leaves behind: predicted and encoded embeddings, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Unrolled:
    """Embeddings of some sequences.

    A spatial map has a *place* for each of its cells, a global vector has one.  Statistics are
    over the sequences of a batch, for each place by itself: pooled places would let an embedding
    that only knows where it is pass for a varied one.

    Attributes:
        predicted: ``(batch, time, places, features)``; the first one is the target's.
        target: what predictions are compared with: embeddings of the images at the same times.
        online: what the encoder that learns makes of these images: the targets, unless those are
            of its moving average.  Demands on embeddings themselves are made of these.
    """

    predicted: Float[Tensor, "batch time places features"]
    target: Float[Tensor, "batch time places features"]
    online: Float[Tensor, "batch time places features"]

    @classmethod
    def of(
        cls,
        predicted: Float[Tensor, "batch time places features"],
        target: Float[Tensor, "batch time places features"],
    ) -> Unrolled:
        """Where targets are the encoder's own."""
        return cls(predicted, target, target)

    def each(self, change: Callable[[Tensor], Tensor]) -> Unrolled:
        """All embeddings, changed."""
        target = change(self.target)
        online = target if self.online is self.target else change(self.online)
        return Unrolled(change(self.predicted), target, online)

    def float(self) -> Unrolled:
        """In single precision."""
        return self.each(Tensor.float)


def as_places(
    maps: Float[Tensor, "*shape features rows columns"],
) -> Float[Tensor, "*shape places features"]:
    """Maps as places of features."""
    return maps.flatten(-2).transpose(-1, -2)
