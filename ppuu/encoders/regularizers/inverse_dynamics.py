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
