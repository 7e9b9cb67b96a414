"""Inverse dynamics: what happened between two embeddings must be legible."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class InverseDynamics(nn.Module):
    """A linear reading of what led from one embedding to the next (2211.10831; 2502.14819).

    It keeps what the action moves.  Alone it forgets everything else, and in traffic everybody
    else is beyond control: use it beside another objective.

    Args:
        features: width of the embedding, all places together.
        actions: width of what is read.
    """

    def __init__(self, features: int, actions: int):
        super().__init__()
        self.read = nn.Linear(2 * features, actions)

    def forward(
        self,
        embeddings: Float[Tensor, "batch time places features"],
        actions: Float[Tensor, "batch time1 actions"],
    ) -> Float[Tensor, ""]:
        """Mean squared error; an action fewer than embeddings."""
        flat = embeddings.flatten(2)
        read = self.read(torch.cat([flat[:, :-1], flat[:, 1:]], dim=-1))
        return functional.mse_loss(read, actions)


class InverseMotion(nn.Module):
    """Inverse dynamics without an action: how the vehicles at each place move, read there.

    In images that do not follow the ego there is no trace of its actions; what others do shows.

    Args:
        features: width of an embedding at each place.
        grid: rows and columns of places.
    """

    def __init__(self, features: int, grid: tuple[int, int]):
        super().__init__()
        self._grid = grid
        self.read = nn.Conv2d(2 * features, 2, 1)

    def forward(
        self,
        before: Float[Tensor, "batch features rows columns"],
        after: Float[Tensor, "batch features rows columns"],
        motion: Float[Tensor, "batch 2 rows2 columns2"],
        weight: Float[Tensor, "batch rows2 columns2"],
    ) -> Float[Tensor, ""]:
        """Mean squared error of the motion of what weighs; places that see nothing do not count.

        Args:
            before, after: embeddings.
            motion: of each pixel, any unit.
            weight: of each pixel.
        """
        seen = functional.adaptive_avg_pool2d(weight[:, None], self._grid)
        mean = functional.adaptive_avg_pool2d(motion * weight[:, None], self._grid)
        mean = mean / seen.clamp(min=1e-6)
        error = (self.read(torch.cat([before, after], dim=1)) - mean).square().sum(1, keepdim=True)
        return (error * seen).sum() / seen.sum().clamp(min=1e-6)
