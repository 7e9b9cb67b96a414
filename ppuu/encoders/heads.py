"""Heads from an encoder's feature map to the embedding: a map, or one global vector."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.errors import InputError


def _require_width(features: int) -> None:
    if features < 1:
        raise InputError(f"embedding: features {features} must be positive")


@dataclass(frozen=True)
class MapHead:
    """Keeps the map: one embedding for each location.

    Attributes:
        features: width of the embedding at a location.
    """

    features: int = 32

    def __post_init__(self):
        _require_width(self.features)

    def build(self, features: int, grid: tuple[int, int]) -> nn.Module:
        """From maps ``(batch, features, rows, columns)`` to embeddings of the same grid."""
        return nn.Conv2d(features, self.features, 1)

    def grid(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the embedding."""
        return grid


@dataclass(frozen=True)
class VectorHead:
    """One global vector, represented as a map with one location.

    Attributes:
        features: width of the embedding.
    """

    features: int = 512

    def __post_init__(self):
        _require_width(self.features)

    def build(self, features: int, grid: tuple[int, int]) -> nn.Module:
        """From maps ``(batch, features, rows, columns)`` to ``(batch, features, 1, 1)``."""
        return _FlattenedLinear(features * grid[0] * grid[1], self.features)

    def grid(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of the embedding."""
        return (1, 1)


class _FlattenedLinear(nn.Linear):
    """A linear layer on the flattened map."""

    def forward(
        self, input: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch features2 1 1"]:
        """A map with one location."""
        return super().forward(input.flatten(1))[..., None, None]


class LinearProduct(nn.Module):
    """A product of linear layers, without bias or nonlinearity (IRMAE, 2010.00679).

    The function is that of one matrix; gradient descent through the product favours low rank.

    Args:
        features: width.
        layers: number of factors; 0 is the identity.
    """

    def __init__(self, features: int, layers: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(features, features, 1, bias=False) for _ in range(layers))
        )

    def forward(
        self, maps: Float[Tensor, "batch features rows columns"]
    ) -> Float[Tensor, "batch features rows columns"]:
        """The same matrix at every location."""
        return self.layers(maps)

    def matrix(self) -> Float[Tensor, "features features"]:
        """The product of the layers."""
        first, *rest = [layer.weight[..., 0, 0] for layer in self.layers]  # type: ignore[index]
        for matrix in rest:
            first = matrix @ first
        return first
