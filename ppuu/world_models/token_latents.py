"""The latent of a scene: a part that all vehicles share, and a part for each vehicle."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..geometry import to_local
from .latent import Latent

POSTERIOR_TIMES = 5
"""Number of evenly spaced times at which a rollout's posterior reads the displacements."""
DISPLACEMENT_FEATURES = 4


def merge_latents(
    parameters: Float[Tensor, "batch tokens features"],
    valid: Bool[Tensor, "batch tokens"],
    shared: int,
) -> Latent:
    """One Gaussian per scene, from the parameters that each token predicts.

    Parameters of the shared part are averaged over tokens.  Empty slots have the standard normal,
    which adds no divergence.

    Args:
        parameters: for each token means and log-variances, those of the shared part first.
        valid: which tokens stand for a vehicle.
        shared: width of the shared part.
    """
    weight = valid[..., None].to(parameters.dtype)
    fraction = weight / weight.sum(1, keepdim=True).clamp(min=1.0)
    merged = [
        torch.cat(
            [(value[..., :shared] * fraction).sum(1), (value[..., shared:] * weight).flatten(1)], 1
        )
        for value in parameters.chunk(2, dim=-1)
    ]
    return Latent.of(torch.cat(merged, dim=1))


def split_latents(
    latent: Float[Tensor, "batch latent"], tokens: int, shared: int
) -> Float[Tensor, "batch tokens features"]:
    """The latent of each token: the shared part and its own."""
    common = latent[:, None, :shared].expand(-1, tokens, -1)
    return torch.cat([common, latent[:, shared:].unflatten(1, (tokens, -1))], dim=-1)


def displacement_features(
    start: Float[Tensor, "batch tokens 4"],
    later: Float[Tensor, "batch tokens time 4"],
    valid: Bool[Tensor, "batch tokens time"],
    seconds: Float[Tensor, " time"],
) -> Float[Tensor, "batch tokens features"]:
    """Deviations of vehicles from constant velocity, in the frame of their start.

    Args:
        start: states at the beginning.
        later: states afterwards.
        valid: which of those are recorded; features are 0 elsewhere.
        seconds: time since the start.
    """
    x, y, turn, speed = to_local(later, start[:, :, None]).unbind(-1)
    deviation = [x - start[..., 3:] * seconds, y, 4 * turn, speed - start[..., 3:]]
    # Linear for small values, logarithmic for large ones.
    return (torch.asinh(torch.stack(deviation, dim=-1)) * valid[..., None]).flatten(2)


def posterior_steps(steps: int) -> list[int]:
    """Indices of the steps that a rollout's posterior reads, including the last one."""
    return [max(0, round(steps * (k + 1) / POSTERIOR_TIMES) - 1) for k in range(POSTERIOR_TIMES)]
