"""A small vision transformer (2010.11929) whose tokens are the locations of a map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..runtime.errors import InputError
from .images import ImageEncoder


@dataclass(frozen=True)
class VitConfig:
    """Size of the transformer.

    Attributes:
        patch: rows and columns of pixels per token; images are padded with zeros to whole patches.
        width: of a token.
        depth: layers.
        heads: of attention.
    """

    patch: tuple[int, int] = (9, 8)
    width: int = 64
    depth: int = 3
    heads: int = 4

    def __post_init__(self):
        if min(*self.patch, self.width, self.depth, self.heads) < 1 or self.width % self.heads:
            raise InputError(
                f"transformer: width {self.width}, depth {self.depth}, heads {self.heads} and "
                f"patch {self.patch} must be positive, and heads must divide the width"
            )

    def build(self, channels: int, rows: int, columns: int) -> VitEncoder:
        """A newly initialised encoder for images of a shape."""
        return VitEncoder(self, channels, rows, columns)


class VitEncoder(ImageEncoder):
    """Patch embedding, learned position embedding, pre-norm layers without dropout."""

    def __init__(self, config: VitConfig, channels: int, rows: int, columns: int):
        super().__init__()
        self.features, self._patch = config.width, config.patch
        self._grid = (math.ceil(rows / config.patch[0]), math.ceil(columns / config.patch[1]))
        self.embed = nn.Conv2d(channels, config.width, config.patch, config.patch)
        tokens = self._grid[0] * self._grid[1]
        self.position = nn.Parameter(0.02 * torch.randn(1, tokens, config.width))
        layer = nn.TransformerEncoderLayer(
            config.width, config.heads, 4 * config.width, 0.0, "gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)

    def forward(
        self, images: Float[Tensor, "batch channels rows columns"]
    ) -> Float[Tensor, "batch features rows2 columns2"]:
        """A location for each patch."""
        (rows, columns), size = self._grid, images.shape[-2:]
        padding = (columns * self._patch[1] - size[1], rows * self._patch[0] - size[0])
        tokens = self.embed(functional.pad(images, (0, padding[0], 0, padding[1])))
        tokens = self.layers(tokens.flatten(2).mT + self.position)
        return tokens.mT.unflatten(2, self._grid)
