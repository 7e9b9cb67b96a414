"""Where the world model does not know: disagreement of its replicas, and the edge of its view."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..rollout import Rollout


class Uncertainty(nn.Module):
    """MPUR's regulariser (Henaff et al., 2019, section 3.2), for costs instead of pixels.

    The paper penalises the variance of predicted images and states across dropout replicas.  In
    a decoupled model the images do not depend on the actions, so their variance has no gradient
    with respect to them; what the ego can change is *where it goes*: the variance of the cost at
    its own pose.  That variance is standardised by its mean and deviation along expert paths, one
    pair for each step of the horizon, and only what exceeds the hinge counts.

    Leaving the field of view is unknown territory as well: the replicas agree there (on an empty
    road), so it gets a term of its own, the metres by which the ego's box leaves the image.

    Args:
        steps: length of the horizon.
        hinge: deviations above the experts' mean that are free (released code: 0.5).
    """

    expert_mean: Tensor
    expert_deviation: Tensor

    def __init__(self, steps: int, hinge: float = 0.5):
        super().__init__()
        self.hinge = hinge
        self.register_buffer("expert_mean", torch.zeros(steps))
        self.register_buffer("expert_deviation", torch.ones(steps))

    def fit(self, replica_costs: Float[Tensor, "samples replicas time"]) -> None:
        """Takes mean and deviation of the variance along expert paths."""
        variance = _variance(replica_costs)
        self.expert_mean.copy_(variance.mean(0))
        self.expert_deviation.copy_(variance.std(0).clamp(min=1e-6))

    def standardised(
        self, replica_costs: Float[Tensor, "batch replicas time"]
    ) -> Float[Tensor, "batch time"]:
        """Variance in experts' deviations above their mean."""
        steps = replica_costs.shape[-1]
        above = _variance(replica_costs) - self.expert_mean[:steps]
        return above / self.expert_deviation[:steps]

    def disagreement(
        self, replica_costs: Float[Tensor, "batch replicas time"]
    ) -> Float[Tensor, "batch time"]:
        """Standardised variance above the hinge."""
        return (self.standardised(replica_costs) - self.hinge).clamp(min=0.0)

    def beyond_view(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """Metres by which the ego's box leaves the predicted image."""
        raster = rollout.futures.raster
        limit = 0.5 * raster.metres_per_pixel * rollout.states.new_tensor(
            [raster.rows, raster.columns]
        )  # fmt: skip
        inside = limit - 0.5 * rollout.size_m[:, None]
        return (rollout.offset[..., :2].abs() - inside).clamp(min=0.0).sum(-1)


def _variance(
    replica_costs: Float[Tensor, "batch replicas time"],
) -> Float[Tensor, "batch time"]:
    return (1.0 - torch.exp(-replica_costs)).var(1)
