"""What keeps embeddings from collapsing, one objective a file."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ...runtime.loss_terms import Terms
from ..unrolled import Unrolled


class Regularizer(nn.Module, ABC):
    """A loss of predicted and target embeddings.

    It is given the sequences of all ranks (``gather``) and knows nothing of ranks itself.
    """

    @abstractmethod
    def forward(self, unrolled: Unrolled) -> Terms:
        """Terms by name, unweighted, and their weighted total."""


class NoDemands(Regularizer):
    """Asks nothing of embeddings; whatever else they learn from, the error is told."""

    def forward(self, unrolled: Unrolled) -> Terms:
        error = prediction_error(unrolled)
        return Terms(0.0 * error, {"prediction": error})


def prediction_error(unrolled: Unrolled) -> Float[Tensor, ""]:
    """Mean squared error of the predictions, the first embedding left out: it is given."""
    return functional.mse_loss(unrolled.predicted[:, 1:], unrolled.target[:, 1:])


def by_moment(
    embeddings: Float[Tensor, "batch time places features"],
) -> Float[Tensor, "moments batch features"]:
    """The batch at each time and place."""
    return embeddings.movedim(0, 2).flatten(0, 1)


def cosines(
    a: Float[Tensor, "*shape n features"], b: Float[Tensor, "*shape m features"]
) -> Float[Tensor, "*shape n m"]:
    """Cosines of all pairs."""
    return functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).mT
