"""Samples held against the truth by a score that only honest ones can win."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SMOOTH_M2 = 1e-4
"""Added below the root: nobody is predicted to a centimetre."""


def energy_scores(
    off: Float[Tensor, "batch futures time slots 2"],
    weight: Float[Tensor, "batch time slots"],
    across_weight: float,
) -> dict[str, Float[Tensor, ""]]:
    """Energy scores of vehicles' paths and of whole scenes, in metres; the lower, the better.

    With ``|·|`` the weighted root mean square over a path (or over all paths of a scene), ``y``
    the truth and ``x, x'`` different futures, the score is ``E |x − y| − ½ E |x − x'|`` (Gneiting
    and Raftery, 2007, "Strictly proper scoring rules", section 4.3).  Its expectation is smallest
    if futures are drawn as the truth is.  A mean over futures of any error would be smallest if
    all were alike, the smallest of several errors if they lay too far apart.

    Args:
        off: what each future misses the truth by; at least two futures.
        weight: of each vehicle at each time.
        across_weight: of metres across against metres along.
    """
    off = off * off.new_tensor([1.0, across_weight**0.5])
    share = weight[:, None, ..., None] / weight.shape[1]
    seen = weight.amax(1) > 0
    vehicles = _scores(off, share, (2, 4))
    scenes = _scores(off, share / seen.sum(1).clamp(min=1)[:, None, None, None, None], (2, 3, 4))
    return {
        "vehicle_score": (vehicles * seen).sum() / seen.sum().clamp(min=1),
        "scene_score": scenes.mean(),
    }


def _scores(
    off: Float[Tensor, "batch futures time slots 2"],
    share: Float[Tensor, "batch 1 time slots 1"],
    over: tuple[int, ...],
) -> Float[Tensor, "batch *slots"]:
    """Scores of each path, or of each scene, by the dimensions that a norm is taken over."""

    def norm(difference: Tensor) -> Tensor:
        return ((difference.square() * share).sum(over) + _SMOOTH_M2).sqrt().mean(1)

    others = [norm(off - off.roll(k, 1)) for k in range(1, off.shape[1])]
    return norm(off) - 0.5 * torch.stack(others).mean(0)
