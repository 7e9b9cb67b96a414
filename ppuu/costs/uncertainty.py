"""Where the world model does not know: what its replicas disagree about."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..predictions import Rollout


class Uncertainty(nn.Module):
    """MPUR's regulariser (Henaff et al., 2019, section 3.2): what dropout replicas disagree about.

    The paper penalises the variance of predicted images, states and costs.  Where predictions do
    not depend on the actions, their variance has no gradient with respect to them; what the ego can
    change is *where it goes*: the variance of the cost at its own pose, the cost c bounded as
    1 - exp(-c) (a collision is a collision, however deep).  Where they do, the predictions' own
    disagreement counts as well.  Each kind of variance is standardised by its mean and deviation
    along expert paths, one pair for each step of the horizon, and only what exceeds the hinge
    counts.

    Leaving the field of view is unknown territory as well: the replicas agree there (on an empty
    road), so it gets a term of its own (``Prediction.outside_view_m``).

    Args:
        steps: length of the horizon.
        hinge: deviations above the experts' mean that are free (released code: 0.5).
        of_predictions: whether the predictions' disagreement counts, besides costs.
    """

    expert_mean: Tensor
    expert_deviation: Tensor

    def __init__(self, steps: int, hinge: float = 0.5, of_predictions: bool = False):
        super().__init__()
        self.hinge, self.of_predictions = hinge, of_predictions
        kinds = 2 if of_predictions else 1
        self.register_buffer("expert_mean", torch.zeros(kinds, steps))
        self.register_buffer("expert_deviation", torch.ones(kinds, steps))

    def variances(
        self, rollout: Rollout, replica_costs: Float[Tensor, "batch candidates replicas time"]
    ) -> Float[Tensor, "batch candidates kinds time"]:
        """What the replicas disagree about: costs, and predictions if they count."""
        kinds = [(1.0 - torch.exp(-replica_costs)).var(2)]
        if self.of_predictions:
            kinds.append(rollout.prediction.disagreement().expand_as(kinds[0]))
        return torch.stack(kinds, dim=2)

    def fit(self, variances: Float[Tensor, "paths kinds time"]) -> None:
        """Takes mean and deviation along expert paths."""
        self.expert_mean.copy_(variances.mean(0))
        self.expert_deviation.copy_(variances.std(0).clamp(min=1e-6))

    def standardised(
        self, variances: Float[Tensor, "batch candidates kinds time"]
    ) -> Float[Tensor, "batch candidates kinds time"]:
        """In experts' deviations above their mean."""
        steps = variances.shape[-1]
        return (variances - self.expert_mean[:, :steps]) / self.expert_deviation[:, :steps]

    def disagreement(
        self, variances: Float[Tensor, "batch candidates kinds time"]
    ) -> Float[Tensor, "batch candidates time"]:
        """Standardised variances above the hinge, summed over the kinds."""
        return (self.standardised(variances) - self.hinge).clamp(min=0.0).sum(2)
