"""Inverse dynamics: actions or motion are predicted from two embeddings."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class InverseDynamics(nn.Module):
    """Linear prediction of the action between two embeddings (2211.10831; 2502.14819).

    It preserves what actions control.  Other vehicles are not controlled: combine it with another
    objective.

    Args:
        features: width of the embedding, all locations together.
        actions: width of the actions.
    """

    def __init__(self, features: int, actions: int):
        super().__init__()
        self.predictor = nn.Linear(2 * features, actions)

    def forward(
        self,
        embeddings: Float[Tensor, "batch time locations features"],
        actions: Float[Tensor, "batch time1 actions"],
    ) -> Float[Tensor, ""]:
        """Mean squared error; one action less than embeddings."""
        flat = embeddings.flatten(2)
        predicted = self.predictor(torch.cat([flat[:, :-1], flat[:, 1:]], dim=-1))
        return functional.mse_loss(predicted, actions)


class InverseMotion(nn.Module):
    """Inverse dynamics without actions: linear prediction of the vehicles' motion at each location.

    Images that do not follow the ego contain no information on its actions, but on the motion of
    other vehicles.

    Args:
        features: width of an embedding at each location.
        grid: rows and columns of the embedding.
    """

    def __init__(self, features: int, grid: tuple[int, int]):
        super().__init__()
        self._grid = grid
        self.predictor = nn.Conv2d(2 * features, 2, 1)

    def forward(
        self,
        before: Float[Tensor, "batch features rows columns"],
        after: Float[Tensor, "batch features rows columns"],
        motion: Float[Tensor, "batch 2 rows2 columns2"],
        weight: Float[Tensor, "batch rows2 columns2"],
    ) -> Float[Tensor, ""]:
        """Weighted mean squared error of the motion; locations without weight do not count.

        Args:
            before, after: embeddings.
            motion: of each pixel, in any unit.
            weight: of each pixel.
        """
        pooled_weight = functional.adaptive_avg_pool2d(weight[:, None], self._grid)
        mean = functional.adaptive_avg_pool2d(motion * weight[:, None], self._grid)
        mean = mean / pooled_weight.clamp(min=1e-6)
        error = (
            (self.predictor(torch.cat([before, after], dim=1)) - mean).square().sum(1, keepdim=True)
        )
        return (error * pooled_weight).sum() / pooled_weight.sum().clamp(min=1e-6)
