"""The scale of MPUR's uncertainty: disagreement of replicas along recorded paths."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import Uncertainty
from ..perception.observation import Observation
from ..world_models import WorldModel
from .policy_unroll import UnrollConfig, expert_variances

Demonstration = tuple[Observation, Float[Tensor, "batch frames 4"], Float[Tensor, "batch frames 2"]]
"""Histories, and the states and actions that were recorded after them, frame by frame."""


def fit_expert_scale(
    uncertainty: Uncertainty,
    model: WorldModel,
    config: UnrollConfig,
    demonstrations: Iterable[Demonstration],
    generator: torch.Generator,
) -> None:
    """Fits mean and deviation of the replicas' disagreement at each step.

    Args:
        uncertainty: is changed in place.
        model: whose replicas disagree.
        config: of the unroll.
        demonstrations: batches.
        generator: of replicas and latents.
    """
    frames = torch.arange(1, config.steps + 1) * model.frames_per_step - 1
    variances = []
    for observation, states, actions in demonstrations:
        at = frames.to(states.device)
        path = states[:, at], actions[:, at]
        variances.append(
            expert_variances(model, observation, *path, config, uncertainty, generator)
        )
    uncertainty.fit(torch.cat(variances))
