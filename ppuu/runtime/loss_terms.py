"""A loss as named terms, so that what is optimised and what is logged are the same numbers."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Terms:
    """A scalar to minimise and the terms it consists of.

    Attributes:
        total: the weighted sum.
        named: unweighted terms, and further quantities to log.
    """

    total: Float[Tensor, ""]
    named: dict[str, Float[Tensor, ""]]

    def scalars(self) -> dict[str, float]:
        """Everything as plain numbers, for the log."""
        return {"loss": self.total.item()} | {k: v.item() for k, v in self.named.items()}
