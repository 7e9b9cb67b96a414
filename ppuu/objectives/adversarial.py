"""Adversarial latents: futures that the model holds possible, made as dangerous as they can be.

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
from ..perception.observation import Observation
from ..predictions import Rollout
from ..runtime.errors import InputError
from ..world_models import WorldModel


@dataclass(frozen=True)
class AdversarialConfig:
    """How often, and how dangerous.

    Attributes:
        every: one batch in so many; 0 is none (the successor's code: 10).
        rate: how far a latent moves, in its deviations.
    """

    every: int = 0
    rate: float = 0.1

    def __post_init__(self):
        if self.every < 0 or self.rate < 0:
            raise InputError(f"adversarial: every and rate must not be negative: {self}")


def adversarial_latents(
    model: WorldModel,
    observation: Observation,
    noise: Float[Tensor, "batch time latent"],
    driven: Rollout,
    cost: DrivingCost,
    config: AdversarialConfig,
) -> Float[Tensor, "batch time latent"]:
    """Noise of a more dangerous future.

    Args:
        model: any world model.
        observation: recorded histories, one for each of ``noise``.
        noise: as drawn.
        driven: what the policy did from one or several beginnings of each; the first counts, and
            the policy is not asked again.
        cost: what danger is.
        config: how far latents move.
    """
    batch = len(noise)
    states, actions = (value.flatten(0, 1).detach() for value in (driven.states, driven.actions))
    each = len(states) // batch
    path = states[::each, None]
    moved = noise.detach().clone().requires_grad_()
    first = replace(
        driven, states=path, actions=actions[::each, None], value=None,
        previous_action=driven.previous_action.flatten(0, 1)[::each, None],
        size_m=observation.size_m, prediction=model.rollout(observation, moved[:, None], path),
    )  # fmt: skip
    danger = cost.evaluate(first).vehicles
    (slope,) = torch.autograd.grad(danger.mean(), moved)
    # The first step of Adam goes by the sign of the gradient.
    return (noise + config.rate * slope.sign()).detach()
