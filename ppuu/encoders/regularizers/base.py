"""Base class of regularisers against representation collapse."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ...runtime.loss_terms import Terms
from ..embedding_rollout import EmbeddingRollout


class Regularizer(nn.Module, ABC):
    """A loss of predicted and target embeddings.

    Its input are the sequences of all ranks (``gather``).
    """

    @abstractmethod
    def forward(self, rollout: EmbeddingRollout) -> Terms:
        """Unweighted terms by name, and their weighted total."""


class NoRegularizer(Regularizer):
    """No loss of embeddings; the prediction error is reported."""

    def forward(self, rollout: EmbeddingRollout) -> Terms:
        error = prediction_error(rollout)
        return Terms(0.0 * error, {"prediction": error})


def prediction_error(rollout: EmbeddingRollout) -> Float[Tensor, ""]:
    """Mean squared error of the predictions, without the first embedding, which is given."""
    return functional.mse_loss(rollout.predicted[:, 1:], rollout.target[:, 1:])


def by_time_and_location(
    embeddings: Float[Tensor, "batch time locations features"],
) -> Float[Tensor, "groups batch features"]:
    """Groups of the batch, one for each time and location."""
    return embeddings.movedim(0, 2).flatten(0, 1)


def cosine_similarities(
    a: Float[Tensor, "*shape n features"], b: Float[Tensor, "*shape m features"]
) -> Float[Tensor, "*shape n m"]:
    """Cosine similarities of all pairs."""
    return functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).mT
