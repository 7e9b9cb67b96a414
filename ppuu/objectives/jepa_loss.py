"""Joint-embedding prediction, and a readout of the embeddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch.nn import functional

from ..encoders import gather
from ..encoders.diagnostics import embedding_diagnostics, image_diagnostics, input_diagnostics
from ..encoders.embedding_rollout import as_locations
from ..encoders.regularizers import time_similarity
from ..perception.observation import Observation
from ..predictions import Target
from ..runtime.errors import InputError
from ..runtime.loss_terms import Terms
from ..runtime.pytree import mapped
from ..runtime.randomness import uniform
from ..world_models.jepa_world_model import JepaWorldModel
from .world_model import WorldModelLossConfig, reconstruction_losses, sample_latent, weighted_sum

_DIAGNOSED_IMAGES = 16


@dataclass(frozen=True)
class JepaLossConfig:
    """Weights of the loss; those of the regulariser are its own.

    Attributes:
        time_similarity: of the squared difference of successive embeddings.
        inverse_motion: of the error of the vehicles' motion predicted from the first two
            embeddings, in metres.
        world_model: weights of the latents and of the readout.
    """

    time_similarity: float = 0.0
    inverse_motion: float = 0.0
    world_model: WorldModelLossConfig = field(
        default_factory=lambda: WorldModelLossConfig(kl_weight=1e-3)
    )

    def __post_init__(self):
        if min(self.time_similarity, self.inverse_motion) < 0:
            raise InputError(f"loss: weights must not be negative: {self}")


def jepa_loss(
    model: JepaWorldModel,
    observation: Observation,
    target: Target,
    config: JepaLossConfig,
    generator: torch.Generator,
) -> Terms:
    """One rollout from the current embedding, with latents from the posterior or the prior.

    The readout's gradient does not reach the embeddings.
    """
    images = target.images
    assert images is not None
    if model.training:
        model.jepa.ema_update()
    scene = model.scene(observation)
    stacks = model.stacks(scene, images.vehicles)
    targets = model.jepa.targets(stacks)
    online = model.jepa.online(stacks, targets)
    # Not encoded again: batch normalisation would give another embedding.
    state = scene.begin(online[:, 0])
    states, divergences = [state], []
    for step in range(targets.shape[1] - 1):
        posterior = model.posterior_head(state.embedding, targets[:, step + 1])
        keep = uniform((len(targets),), generator, targets) >= config.world_model.latent_dropout
        latent, paid = sample_latent(None, posterior, keep, config.world_model, generator)
        divergences.append(paid)
        state, _ = model.advance(state, None, latent)
        states.append(state)
    embeddings = torch.stack([state.embedding for state in states], dim=1)
    rollout = model.jepa.project(embeddings, targets, online)
    with torch.autocast(targets.device.type, enabled=False):  # statistics in single precision
        regularization = model.regularizer(gather(rollout.float()))
    detached = mapped(states[1:], torch.Tensor.detach)
    readout = reconstruction_losses(model.decode(detached, observation, 1), target)
    named = regularization.named | readout
    named["kl_divergence"] = torch.stack(divergences, dim=1).sum(1).mean()
    named["time_similarity"] = time_similarity(as_locations(online))
    total = regularization.total + weighted_sum(readout, config.world_model)
    total = total + config.world_model.kl_weight * named["kl_divergence"]
    if config.time_similarity:
        total = total + config.time_similarity * named["time_similarity"]
    if config.inverse_motion:
        assert images.flow is not None
        assert images.flow_valid is not None
        named["inverse_motion"] = model.inverse_motion(
            online[:, 0], online[:, 1], images.flow[:, 0],
            scene.history[:, -1] * images.flow_valid[:, 0],
        )  # fmt: skip
        total = total + config.inverse_motion * named["inverse_motion"]
    if model.pixel_decoder is not None:
        decoded = model.pixel_decoder(embeddings.flatten(0, 1))
        named["reconstruction"] = functional.mse_loss(decoded, stacks.flatten(0, 1))
        total = total + named["reconstruction"]
    return Terms(total, named)


@torch.no_grad()
def jepa_diagnostics(
    model: JepaWorldModel, observation: Observation, target: Target
) -> dict[str, float]:
    """Diagnostics of the embeddings of some clips, with latents of the posterior."""
    start = model.begin(observation)
    targets = model.targets(start, target)
    states, latents = [start], []
    for step in range(targets.shape[1] - 1):
        latents.append(model.posterior_head(states[-1].embedding, targets[:, step + 1]).mean)
        states.append(model.advance(states[-1], None, latents[-1])[0])
    embeddings = torch.stack([state.embedding for state in states], dim=1)
    values = embedding_diagnostics(model.jepa.project(embeddings, targets))
    if model.spec.latent:
        # Only latents change places: how fast the frame glides is known.
        inputs, others = (
            torch.stack([model.condition(start, latent.roll(by, 0)) for latent in latents], dim=1)
            for by in (0, 1)
        )
        values |= input_diagnostics(model.jepa, targets, inputs, others)
    values |= image_diagnostics(model.jepa, start.encoder_input[:_DIAGNOSED_IMAGES])
    return {name: value.item() for name, value in values.items()}
