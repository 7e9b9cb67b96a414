"""How a scene's latent is made of one for all vehicles and one for each."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..geometry import to_local
from .latent import Latent

MOMENTS = 5
"""At so many times, evenly spread, a rollout's posterior looks at where a vehicle went."""
WENT = 4
"""Features of where it was at a time."""


def joined(
    told: Float[Tensor, "batch tokens features"], here: Bool[Tensor, "batch tokens"], scene: int
) -> Latent:
    """One Gaussian for a scene, from what each token tells of everybody's latent and of its own.

    What is told of everybody's is averaged.  Of empty slots nothing is told: the standard normal,
    which costs no divergence.

    Args:
        told: for each token means and logarithms of variances, everybody's latent first.
        here: which tokens stand for a vehicle.
        scene: width of everybody's latent.
    """
    there = here[..., None].to(told.dtype)
    share = there / there.sum(1, keepdim=True).clamp(min=1.0)
    parameters = [
        torch.cat([(value[..., :scene] * share).sum(1), (value[..., scene:] * there).flatten(1)], 1)
        for value in told.chunk(2, dim=-1)
    ]
    return Latent.of(torch.cat(parameters, dim=1))


def dealt(
    latent: Float[Tensor, "batch latent"], tokens: int, scene: int
) -> Float[Tensor, "batch tokens features"]:
    """What each vehicle gets of a scene's latent: everybody's and its own."""
    shared = latent[:, None, :scene].expand(-1, tokens, -1)
    return torch.cat([shared, latent[:, scene:].unflatten(1, (tokens, -1))], dim=-1)


def went(
    start: Float[Tensor, "batch tokens 4"],
    then: Float[Tensor, "batch tokens time 4"],
    known: Bool[Tensor, "batch tokens time"],
    seconds: Float[Tensor, " time"],
) -> Float[Tensor, "batch tokens features"]:
    """Where vehicles went, seen from where they started, beside gliding on at constant velocity.

    Args:
        start: states at the beginning.
        then: states later.
        known: where those are recorded; features are 0 elsewhere.
        seconds: how much later.
    """
    x, y, turn, speed = to_local(then, start[:, :, None]).unbind(-1)
    off = [x - start[..., 3:] * seconds, y, 4 * turn, speed - start[..., 3:]]
    # As it is where it is little, its logarithm where it is much.
    return (torch.asinh(torch.stack(off, dim=-1)) * known[..., None]).flatten(2)


def moments(steps: int) -> list[int]:
    """The steps a rollout's posterior looks at; the last one is among them."""
    return [max(0, round(steps * (k + 1) / MOMENTS) - 1) for k in range(MOMENTS)]
