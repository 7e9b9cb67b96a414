"""Normalisation inside encoders and of embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .gather import all_gather

Norm = Literal["none", "group", "layer", "batch"]
"""``group`` and ``layer`` normalise each image alone, ``batch`` over the images of all ranks."""


class SyncBatchNorm(nn.Module):
    """Batch normalisation of maps with the statistics of all ranks, on any backend.

    Frozen (without gradient), it uses its running statistics in training mode, too.

    Args:
        features: channels of the maps.
        momentum: weight of a new batch in the running statistics.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, features: int, momentum: float = 0.1):
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))
        self.scale = nn.Parameter(torch.ones(features))
        self.shift = nn.Parameter(torch.zeros(features))
        self.momentum = momentum

    def forward(
        self, maps: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Normalised maps of the same shape."""
        mean, variance = self.mean, self.variance
        if self.training and self.scale.requires_grad:
            # Statistics in single precision or better.
            precision = torch.promote_types(maps.dtype, torch.float32)
            mean = all_gather(maps.to(precision).mean((0, 2, 3))[None]).mean(0)
            squares = (maps.to(precision) - mean[:, None, None]).square()
            variance = all_gather(squares.mean((0, 2, 3))[None]).mean(0)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        scale = self.scale * (variance + 1e-5).rsqrt()
        return maps * scale[:, None, None] + (self.shift - mean * scale)[:, None, None]


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of the features at each location."""

    def forward(
        self, input: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Normalised maps of the same shape."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def norm_layer(kind: Norm, features: int) -> nn.Module:
    """A normalisation of maps."""
    if kind == "batch":
        return SyncBatchNorm(features)
    if kind == "layer":
        return ChannelNorm(features)
    return nn.GroupNorm(1, features) if kind == "group" else nn.Identity()
