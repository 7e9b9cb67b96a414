"""Learning to predict embeddings, and beside it to read them."""

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
from ..world_models.jepa import JepaWorldModel
from .world_model import WorldModelLossConfig, drawn_latent, reconstruction, weighted

_WATCHED_IMAGES = 16


@dataclass(frozen=True)
class JepaLossConfig:
    """Weights of the loss; those of the regulariser are its own.

    Attributes:
        time_similarity: of the squared step from one target to the next.
        inverse_motion: of reading, from the first two embeddings, how vehicles moved between them,
            in metres.
        other: how latents are drawn and paid for, and the readout's weights.
    """

    time_similarity: float = 0.0
    inverse_motion: float = 0.0
    other: WorldModelLossConfig = field(
        default_factory=lambda: WorldModelLossConfig(divergence_weight=1e-3)
    )

    def __post_init__(self):
        if min(self.time_similarity, self.inverse_motion) < 0:
            raise InputError(f"weights of the loss must not be negative: {self}")


def jepa_loss(
    model: JepaWorldModel,
    observation: Observation,
    target: Target,
    config: JepaLossConfig,
    generator: torch.Generator,
) -> Terms:
    """One unroll from the present's embedding, each step's latent from the posterior or the prior.

    The readout's errors have no part in what embeddings learn.
    """
    true = target.images
    assert true is not None
    if model.training:
        model.jepa.ema_update()
    scene = model.scene(observation)
    stacks = model.stacks(scene, true.vehicles)
    targets = model.jepa.targets(stacks)
    online = model.jepa.online(stacks, targets)
    # The first of them, not encoded anew: a norm over the batch would make it another one.
    state = scene.begin(online[:, 0])
    states, divergences = [state], []
    for step in range(targets.shape[1] - 1):
        posterior = model.explain(state.embedding, targets[:, step + 1])
        keep = uniform((len(targets),), generator, targets) >= config.other.latent_dropout
        latent, paid = drawn_latent(None, posterior, keep, config.other, generator)
        divergences.append(paid)
        state, _ = model.advance(state, None, latent)
        states.append(state)
    embeddings = torch.stack([state.embedding for state in states], dim=1)
    made = model.jepa.project(embeddings, targets, online)
    with torch.autocast(targets.device.type, enabled=False):  # statistics want all digits
        taught = model.regularizer(gather(made.float()))
    ahead = mapped(states[1:], torch.Tensor.detach)
    read = reconstruction(model.decode(ahead, observation, 1), target)
    named = taught.named | read
    named["divergence"] = torch.stack(divergences, dim=1).sum(1).mean()
    named["time_similarity"] = time_similarity(as_locations(online))
    total = taught.total + weighted(read, config.other)
    total = total + config.other.divergence_weight * named["divergence"]
    if config.time_similarity:
        total = total + config.time_similarity * named["time_similarity"]
    if config.inverse_motion:
        assert true.flow is not None
        assert true.flow_valid is not None
        named["inverse_motion"] = model.inverse_motion(
            online[:, 0], online[:, 1], true.flow[:, 0],
            scene.history[:, -1] * true.flow_valid[:, 0],
        )  # fmt: skip
        total = total + config.inverse_motion * named["inverse_motion"]
    if model.pixel_decoder is not None:
        painted = model.pixel_decoder(embeddings.flatten(0, 1))
        named["painted"] = functional.mse_loss(painted, stacks.flatten(0, 1))
        total = total + named["painted"]
    return Terms(total, named)


@torch.no_grad()
def jepa_diagnostics(
    model: JepaWorldModel, observation: Observation, target: Target
) -> dict[str, float]:
    """How the embeddings of some clips are; predictions are told the posterior's latents."""
    start = model.begin(observation)
    targets = model.targets(start, target)
    states, latents = [start], []
    for step in range(targets.shape[1] - 1):
        latents.append(model.explain(states[-1].embedding, targets[:, step + 1]).mean)
        states.append(model.advance(states[-1], None, latents[-1])[0])
    embeddings = torch.stack([state.embedding for state in states], dim=1)
    values = embedding_diagnostics(model.jepa.project(embeddings, targets))
    if model.spec.latent:
        # Only latents change places: how fast the frame glides is known.
        told, others = (
            torch.stack([model.told(start, latent.roll(by, 0)) for latent in latents], dim=1)
            for by in (0, 1)
        )
        values |= input_diagnostics(model.jepa, targets, told, others)
    values |= image_diagnostics(model.jepa, start.shown[:_WATCHED_IMAGES])
    return {name: value.item() for name, value in values.items()}
