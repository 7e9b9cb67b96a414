"""Time similarity: penalty on the distance of successive embeddings."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def time_similarity(
    embeddings: Float[Tensor, "batch time locations features"],
) -> Float[Tensor, ""]:
    """Mean squared difference (2502.14819).

    It smooths the cost landscape of planners, and favours slow features.
    """
    return functional.mse_loss(embeddings[:, 1:], embeddings[:, :-1])
