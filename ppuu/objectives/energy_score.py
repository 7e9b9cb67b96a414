"""Energy scores of sampled futures (a strictly proper scoring rule)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SMOOTH_M2 = 1e-4
"""Added under the square root, to bound its gradient."""


def energy_scores(
    error: Float[Tensor, "batch samples time slots 2"],
    weight: Float[Tensor, "batch time slots"],
    across_weight: float,
) -> dict[str, Float[Tensor, ""]]:
    """Energy scores of vehicles' paths and of whole scenes, in metres; lower is better.

    With ``|·|`` the weighted root mean square over a path (or over all paths of a scene), ``y``
    the target and ``x, x'`` different samples, the score is ``E |x − y| − ½ E |x − x'|`` (Gneiting
    and Raftery, 2007, "Strictly proper scoring rules", section 4.3).  Its expectation is
    minimal if samples and target have the same distribution.  The mean error over samples would be
    minimal for equal samples, the minimum over samples for samples that are too diverse.

    Args:
        error: of each sample, along and across; at least two samples.
        weight: of each vehicle at each time.
        across_weight: of lateral errors relative to longitudinal ones.
    """
    error = error * error.new_tensor([1.0, across_weight**0.5])
    normalised = weight[:, None, ..., None] / weight.shape[1]
    valid = weight.amax(1) > 0
    vehicles = _scores(error, normalised, (2, 4))
    scenes = _scores(
        error, normalised / valid.sum(1).clamp(min=1)[:, None, None, None, None], (2, 3, 4)
    )
    return {
        "vehicle_score": (vehicles * valid).sum() / valid.sum().clamp(min=1),
        "scene_score": scenes.mean(),
    }


def _scores(
    error: Float[Tensor, "batch samples time slots 2"],
    weight: Float[Tensor, "batch 1 time slots 1"],
    over: tuple[int, ...],
) -> Float[Tensor, "batch *slots"]:
    """Scores of each path or scene, depending on the dimensions of the norm."""

    def norm(difference: Tensor) -> Tensor:
        return ((difference.square() * weight).sum(over) + _SMOOTH_M2).sqrt().mean(1)

    distances = [norm(error - error.roll(k, 1)) for k in range(1, error.shape[1])]
    return norm(error) - 0.5 * torch.stack(distances).mean(0)
