"""Epistemic uncertainty of the world model: disagreement of its replicas."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..predictions import Rollout


class Uncertainty(nn.Module):
    """MPUR's regulariser (Henaff et al., 2019, section 3.2): disagreement of dropout replicas.

    The paper penalises the variance of predicted images, states and costs.  If predictions do
    not depend on the actions, their variance has no gradient with respect to them; the ego can only
    change the variance of the cost at its own pose, with the cost c bounded as 1 - exp(-c), so that
    the depth of a collision does not matter.  If they do, the disagreement of the predictions is
    included as well.  Each kind of variance is standardised by its mean and standard deviation
    along expert paths, separately for each step of the horizon, with a hinge.

    Outside the field of view the replicas agree (on an empty road) although the model knows
    nothing; this has a penalty of its own (``Prediction.outside_view_m``).

    Args:
        steps: length of the horizon.
        hinge: standard deviations above the experts' mean without penalty (released code: 0.5).
        include_predictions: whether to include the disagreement of predictions.
    """

    expert_mean: Tensor
    expert_std: Tensor

    def __init__(self, steps: int, hinge: float = 0.5, include_predictions: bool = False):
        super().__init__()
        self.hinge, self.include_predictions = hinge, include_predictions
        kinds = 2 if include_predictions else 1
        self.register_buffer("expert_mean", torch.zeros(kinds, steps))
        self.register_buffer("expert_std", torch.ones(kinds, steps))

    def variances(
        self, rollout: Rollout, replica_costs: Float[Tensor, "batch candidates replicas time"]
    ) -> Float[Tensor, "batch candidates kinds time"]:
        """Variances over the replicas, of costs and, if included, of predictions."""
        kinds = [(1.0 - torch.exp(-replica_costs)).var(2)]
        if self.include_predictions:
            kinds.append(rollout.prediction.disagreement().expand_as(kinds[0]))
        return torch.stack(kinds, dim=2)

    def fit(self, variances: Float[Tensor, "paths kinds time"]) -> None:
        """Sets mean and standard deviation from expert paths."""
        self.expert_mean.copy_(variances.mean(0))
        self.expert_std.copy_(variances.std(0).clamp(min=1e-6))

    def standardise(
        self, variances: Float[Tensor, "batch candidates kinds time"]
    ) -> Float[Tensor, "batch candidates kinds time"]:
        """Standardised by the experts' mean and standard deviation."""
        steps = variances.shape[-1]
        return (variances - self.expert_mean[:, :steps]) / self.expert_std[:, :steps]

    def disagreement(
        self, variances: Float[Tensor, "batch candidates kinds time"]
    ) -> Float[Tensor, "batch candidates time"]:
        """Standardised variances above the hinge, summed over the kinds."""
        return (self.standardise(variances) - self.hinge).clamp(min=0.0).sum(2)
