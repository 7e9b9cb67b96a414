"""Time similarity: successive embeddings shall be close."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def time_similarity(
    embeddings: Float[Tensor, "batch time places features"],
) -> Float[Tensor, ""]:
    """Mean squared step (2502.14819).

    It smooths the landscape that a planner sees, and favours slow features all the more.
    """
    return functional.mse_loss(embeddings[:, 1:], embeddings[:, :-1])
