"""Dropout whose masks can be given, so that a replica is a function and not a mode.

In training a layer draws its mask for each row, as torch does.  Otherwise it does nothing, unless a
mask is put in the place of its buffer ``keep`` by ``torch.func.functional_call``: that is how
``DropoutReplicas`` run (Gal and Ghahramani, 2016), one mask a replica for all rows and steps.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..runtime.randomness import uniform


class Dropout(nn.Module):
    """Of vectors, ``(batch, ..., width)``.

    Args:
        probability: of a feature to be dropped.
        width: features.
    """

    keep: Tensor

    def __init__(self, probability: float, width: int):
        super().__init__()
        self.probability, self.width = probability, width
        self.register_buffer("keep", torch.ones(()), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Same shape as the input."""
        if self.keep.ndim:
            return features * self._placed(features.ndim)
        return self._dropped(features) if self.training else features

    def masks(self, count: int, generator: torch.Generator) -> Float[Tensor, "count width"]:
        """Some masks, scaled so that means stay."""
        kept = 1.0 - self.probability
        return (uniform((count, self.width), generator, self.keep) < kept).to(self.keep) / kept

    def _placed(self, dimensions: int) -> Tensor:
        return self.keep.view(len(self.keep), *[1] * (dimensions - 2), self.width)

    def _dropped(self, features: Tensor) -> Tensor:
        return functional.dropout(features, self.probability)


class MapDropout(Dropout):
    """Of whole feature maps, ``(batch, width, rows, columns)``."""

    def _placed(self, dimensions: int) -> Tensor:
        return self.keep[:, :, None, None]

    def _dropped(self, features: Tensor) -> Tensor:
        return functional.dropout2d(features, self.probability)


class Calls(nn.Module):
    """Any method of a module as a module's only one, which is what ``functional_call`` calls."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, method: str, *arguments: Any) -> Any:
        """Calls the method."""
        return getattr(self.module, method)(*arguments)
