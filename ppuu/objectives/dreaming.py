"""Bad dreams: futures that the model holds possible, made as dangerous as they can be.

Latents are moved, by one step of Adam, towards those that bring others close to where the policy
drives ("dreaming" in the successor of PPUU, which also holds them back by their distance from the
ones that were drawn: in a single step that has no effect).  The policy then learns from that
future.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost
from ..errors import InputError
from ..observation import Observation
from ..rollout import Rollout
from ..world_models import WorldModel


@dataclass(frozen=True)
class DreamConfig:
    """How often, and how bad.

    Attributes:
        every: one batch in so many is dreamt; 0 is none (the successor's code: 10).
        rate: how far a latent moves, in its deviations.
    """

    every: int = 0
    rate: float = 0.1

    def __post_init__(self):
        if self.every < 0 or self.rate < 0:
            raise InputError(f"dream: every and rate must not be negative: {self}")


def dreamt(
    model: WorldModel,
    observation: Observation,
    latents: Float[Tensor, "batch time latent"],
    driven: Rollout,
    cost: DrivingCost,
    config: DreamConfig,
) -> Float[Tensor, "batch time latent"]:
    """Latents of a more dangerous future.

    Args:
        model: any world model.
        observation: where the rollouts began, one for each of ``latents``.
        latents: as drawn.
        driven: what the policy did; it is not asked again.
        cost: what danger is.
        config: how bad.
    """
    moved = latents.detach().clone().requires_grad_()
    futures = model.imagine(
        observation, latents.shape[1], 1, ego=driven.states.detach(), latents=moved[:, None]
    )
    seen = replace(
        driven, states=driven.states.detach(), actions=driven.actions.detach(), futures=futures
    )
    _, danger = cost.evaluate(seen)
    (slope,) = torch.autograd.grad(danger.mean(), moved)
    # The first step of Adam goes by the sign of the gradient.
    return (latents + config.rate * slope.sign()).detach()
