"""Where the world model does not know: disagreement of its replicas, and the edge of its view."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..rollout import Rollout


class Uncertainty(nn.Module):
    """MPUR's regulariser (Henaff et al., 2019, section 3.2): what dropout replicas disagree about.

    The paper penalises the variance of predicted images, states and costs.  In a decoupled model
    the images do not depend on the actions, so their variance has no gradient with respect to
    them; what the ego can change is *where it goes*: the variance of the cost at its own pose, the
    cost c bounded as 1 - exp(-c) (a wreck is a wreck, however deep).  A coupled model's images
    answer to the actions, so their variance counts as well.  Each kind of variance is standardised
    by its mean and deviation along expert paths, one pair for each step of the horizon, and only
    what exceeds the hinge counts.

    Leaving the field of view is unknown territory as well: the replicas agree there (on an empty
    road), so it gets a term of its own, the metres by which the ego's box leaves the image.

    Args:
        steps: length of the horizon.
        hinge: deviations above the experts' mean that are free (released code: 0.5).
        of_images: whether images count, besides costs.
    """

    expert_mean: Tensor
    expert_deviation: Tensor

    def __init__(self, steps: int, hinge: float = 0.5, of_images: bool = False):
        super().__init__()
        self.hinge, self.of_images = hinge, of_images
        kinds = 2 if of_images else 1
        self.register_buffer("expert_mean", torch.zeros(kinds, steps))
        self.register_buffer("expert_deviation", torch.ones(kinds, steps))

    def variances(
        self, rollout: Rollout, replica_costs: Float[Tensor, "batch replicas time"]
    ) -> Float[Tensor, "batch kinds time"]:
        """What the replicas disagree about: costs, and images (mean over pixels) if they count."""
        kinds = [(1.0 - torch.exp(-replica_costs)).var(1)]
        if self.of_images:
            kinds.append(rollout.images.vehicles.var(1).mean((-2, -1)))
        return torch.stack(kinds, dim=1)

    def fit(self, variances: Float[Tensor, "samples kinds time"]) -> None:
        """Takes mean and deviation along expert paths."""
        self.expert_mean.copy_(variances.mean(0))
        self.expert_deviation.copy_(variances.std(0).clamp(min=1e-6))

    def standardised(
        self, variances: Float[Tensor, "batch kinds time"]
    ) -> Float[Tensor, "batch kinds time"]:
        """In experts' deviations above their mean."""
        steps = variances.shape[-1]
        return (variances - self.expert_mean[:, :steps]) / self.expert_deviation[:, :steps]

    def disagreement(
        self, variances: Float[Tensor, "batch kinds time"]
    ) -> Float[Tensor, "batch time"]:
        """Standardised variances above the hinge, summed over the kinds."""
        return (self.standardised(variances) - self.hinge).clamp(min=0.0).sum(1)

    def beyond_view(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """Metres by which the ego's box leaves the predicted image."""
        raster = rollout.futures.raster
        limit = 0.5 * raster.metres_per_pixel * rollout.states.new_tensor(
            [raster.rows, raster.columns]
        )  # fmt: skip
        inside = limit - 0.5 * rollout.size_m[:, None]
        return (rollout.offset[..., :2].abs() - inside).clamp(min=0.0).sum(-1)
