"""What an unroll leaves behind: predicted and encoded embeddings, side by side."""

from __future__ import annotations

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
        target: what the encoder makes of the images at the same times.
    """

    predicted: Float[Tensor, "batch time places features"]
    target: Float[Tensor, "batch time places features"]

    def float(self) -> Unrolled:
        """In single precision."""
        return Unrolled(self.predicted.float(), self.target.float())


def as_places(
    maps: Float[Tensor, "*shape features rows columns"],
) -> Float[Tensor, "*shape places features"]:
    """Maps as places of features."""
    return maps.flatten(-2).transpose(-1, -2)
