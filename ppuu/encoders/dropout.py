"""Dropout with explicit masks, for Monte Carlo dropout as a pure function.

In training mode a layer samples a mask for each row, as PyTorch does.  In evaluation mode it is the
identity, unless ``torch.func.functional_call`` replaces its buffer ``mask``: ``DropoutReplicas``
(Gal and Ghahramani, 2016) use one mask a replica for all rows and time steps.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..runtime.randomness import uniform


class Dropout(nn.Module):
    """Dropout of the features of vectors, ``(batch, ..., width)``.

    Args:
        probability: of dropping a feature.
        width: number of features.
    """

    mask: Tensor

    def __init__(self, probability: float, width: int):
        super().__init__()
        self.probability, self.width = probability, width
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Same shape as the input."""
        if self.mask.ndim:
            return features * self._broadcast_mask(features.ndim)
        return self._random_dropout(features) if self.training else features

    def sample_masks(self, count: int, generator: torch.Generator) -> Float[Tensor, "count width"]:
        """Random masks, scaled so that the expectation is preserved."""
        keep_probability = 1.0 - self.probability
        keep = uniform((count, self.width), generator, self.mask) < keep_probability
        return keep.to(self.mask) / keep_probability

    def _broadcast_mask(self, dimensions: int) -> Tensor:
        return self.mask.view(len(self.mask), *[1] * (dimensions - 2), self.width)

    def _random_dropout(self, features: Tensor) -> Tensor:
        return functional.dropout(features, self.probability)


class MapDropout(Dropout):
    """Dropout of whole channels of feature maps, ``(batch, width, rows, columns)``."""

    def _broadcast_mask(self, dimensions: int) -> Tensor:
        return self.mask[:, :, None, None]

    def _random_dropout(self, features: Tensor) -> Tensor:
        return functional.dropout2d(features, self.probability)


class MethodCaller(nn.Module):
    """Forwards to a named method of a module; ``functional_call`` can only call ``forward``."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, method: str, *arguments: Any) -> Any:
        """The method's result."""
        return getattr(self.module, method)(*arguments)
