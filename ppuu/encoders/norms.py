"""Normalisation inside encoders and of embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .gather import gathered

Norm = Literal["none", "group", "layer", "batch"]
"""``group`` and ``layer`` look at one image alone, ``batch`` at all images of all ranks."""


class JointBatchNorm(nn.Module):
    """Batch normalisation of maps with the statistics of all ranks.

    Once frozen (no gradient), it keeps to its running statistics, whatever the mode.

    Args:
        features: channels of the maps.
        momentum: share of a new batch in the running statistics, which evaluation uses.
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
            digits = torch.promote_types(maps.dtype, torch.float32)  # statistics want them all
            mean = gathered(maps.to(digits).mean((0, 2, 3))[None]).mean(0)
            apart = (maps.to(digits) - mean[:, None, None]).square()
            variance = gathered(apart.mean((0, 2, 3))[None]).mean(0)
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.variance.lerp_(variance, self.momentum)
        scale = self.scale * (variance + 1e-5).rsqrt()
        return maps * scale[:, None, None] + (self.shift - mean * scale)[:, None, None]


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each place's features."""

    def forward(
        self, input: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """Normalised maps of the same shape."""
        return super().forward(input.movedim(1, -1)).movedim(-1, 1)


def norm_layer(kind: Norm, features: int) -> nn.Module:
    """A normalisation of maps."""
    if kind == "batch":
        return JointBatchNorm(features)
    if kind == "layer":
        return ChannelNorm(features)
    return nn.GroupNorm(1, features) if kind == "group" else nn.Identity()
