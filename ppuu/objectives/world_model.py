"""World-model loss: reconstruction with latents of the posterior, with z-dropout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from ..geometry import to_local
from ..perception.observation import Observation
from ..predictions import Prediction, Target
from ..runtime.errors import InputError, require_not_negative
from ..runtime.loss_terms import Terms
from ..runtime.randomness import uniform
from ..world_models import Latent, WorldModel
from .energy_score import energy_scores


@dataclass(frozen=True)
class WorldModelLossConfig:
    """Weights of the loss.

    Attributes:
        samples: futures of each clip, sampled from the prior for the energy score, for models of
            tracks; 0 for none.
        score_weight: of the energy score of vehicles' paths.
        scene_weight: of the energy score of scenes, relative to that of paths.
        latent_dropout: z-dropout, the probability that the latent of a step is sampled from the
            prior; 0 is used with ``samples``.
        kl_weight: of the KL divergence (beta), in nats summed over latents and time.
        free_nats: KL divergence of a step without penalty, against posterior collapse.
        kl_balance: with a learned prior, weight of the gradient that moves the prior towards the
            posterior; the rest moves the posterior towards the prior.
        flow_weight: of the error of the vehicles' motion in metres, for models of pixels.
        ego_weight: of the ego's squared error (metres, metres per second, tenths of a radian), for
            models that predict the ego.
        across_weight: of lateral errors relative to longitudinal ones, for models of tracks.
    """

    samples: int = 0
    score_weight: float = 1.0
    scene_weight: float = 0.3
    latent_dropout: float = 0.5
    kl_weight: float = 1e-5
    free_nats: float = 0.0
    kl_balance: float = 0.5
    flow_weight: float = 0.06
    ego_weight: float = 0.01
    across_weight: float = 3.0

    def __post_init__(self):
        if self.samples < 0 or self.samples == 1:
            raise InputError(f"world-model loss: samples {self.samples} must be 0 or at least 2")
        if not 0.0 <= self.latent_dropout <= 1.0:
            raise InputError(
                f"world-model loss: latent_dropout {self.latent_dropout} must be from 0 to 1"
            )
        if not 0.0 < self.kl_balance < 1.0:
            raise InputError(
                f"world-model loss: kl_balance {self.kl_balance} must be between 0 and 1"
            )
        weights = (
            "kl_weight", "free_nats", "flow_weight", "ego_weight", "across_weight",
            "score_weight", "scene_weight",
        )  # fmt: skip
        require_not_negative("world-model loss", **{w: getattr(self, w) for w in weights})


def world_model_loss(
    model: WorldModel,
    observation: Observation,
    target: Target,
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> Terms:
    """One rollout over the horizon, with latents of the posterior or the prior.

    z-dropout (Henaff et al., 2019, section 3.1): with probability ``latent_dropout`` the latent of
    a step is sampled from the prior instead of the posterior, so that latents do not encode what
    the history determines, and predictions with sampled latents stay plausible.  A latent of the
    whole rollout is sampled, dropped and penalised once.

    The squared error of prior samples is minimal if all samples are equal.  With ``samples``, their
    energy score, a proper scoring rule, replaces z-dropout.
    """
    state = model.begin(observation)
    if config.samples == 0:
        return _posterior_loss(model, state, observation, target, config, generator)
    without_dropout = replace(config, latent_dropout=0.0)
    posterior = _posterior_loss(model, state, observation, target, without_dropout, generator)
    like, steps = observation.ego, target.ego.shape[1]
    noise = model.noise(like, len(like), config.samples, steps, generator)
    sampled = model.rollout_from(state, observation, noise, target.ego[:, None])
    score = _energy_score_loss(sampled, target, config)
    return Terms(posterior.total + score.total, posterior.named | score.named)


def _posterior_loss(
    model: WorldModel,
    state: Any,
    observation: Observation,
    target: Target,
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> Terms:
    """Reconstruction losses with latents of the posterior, and their KL divergence."""
    batch, steps = target.ego.shape[:2]
    states, egos, divergences, latent = [], [], [], None
    for step in range(steps):
        state = model.prepared(state)
        if latent is None or model.spec.latent_span == "step":
            keep = uniform((batch,), generator, target.ego) >= config.latent_dropout
            prior, posterior = model.prior(state), model.masked_posterior(keep, state, target, step)
            latent, divergence = sample_latent(prior, posterior, keep, config, generator)
            divergences.append(divergence)
        state, ego = model.advance(state, target.ego[:, step], latent)
        states.append(state)
        egos.append(ego)
    divergence = torch.stack(divergences, dim=1).sum(1).mean()
    named = reconstruction_losses(model.decode(states, observation, 1), target)
    total = weighted_sum(named, config)
    if model.spec.moves_ego:
        named["ego"] = ego_squared_error(torch.stack(egos, dim=1), target.ego)
        total = total + config.ego_weight * named["ego"]
    named["kl_divergence"] = divergence
    return Terms(total + config.kl_weight * divergence, named)


def _energy_score_loss(
    prediction: Prediction, target: Target, config: WorldModelLossConfig
) -> Terms:
    """Weighted energy scores of prior samples."""
    errors = prediction.errors(target)
    if "along_m" not in errors:
        raise InputError(
            f"--loss.samples {config.samples}: energy scores need a model of tracks; use 0 for "
            "models of pixels"
        )
    along, across = errors["along_m"], errors["across_m"]
    error = torch.stack([along.value, across.value], dim=-1)
    named = energy_scores(error, along.weight[:, 0], config.across_weight)
    total = named["vehicle_score"] + config.scene_weight * named["scene_score"]
    return Terms(config.score_weight * total, named)


def sample_latent(
    prior: Latent | None,
    posterior: Latent,
    keep: Bool[Tensor, " batch"],
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, " batch"]]:
    """A latent for each clip, from the posterior or the prior, and the penalised KL divergence."""
    prior_or_standard = prior or Latent.standard(posterior.mean)
    latent = torch.where(
        keep[:, None], posterior.sample(generator), prior_or_standard.sample(generator)
    )
    divergence = balanced_divergence(posterior, prior, config.kl_balance)
    return latent, keep * (divergence - config.free_nats).clamp(min=0.0)


def balanced_divergence(
    posterior: Latent, prior: Latent | None, balance: float
) -> Float[Tensor, " batch"]:
    """KL divergence with a weighted gradient between prior and posterior (KL balancing).

    Hafner et al., 2021, "Mastering Atari with discrete world models", algorithm 2.  The value does
    not depend on the balance; 0.5 is half the gradient of the divergence.  A fixed prior has no
    gradient.
    """
    if prior is None:
        return posterior.divergence()
    return balance * posterior.detach().divergence(prior) + (1.0 - balance) * posterior.divergence(
        prior.detach()
    )


def reconstruction_losses(prediction: Prediction, target: Target) -> dict[str, Float[Tensor, ""]]:
    """Losses of the errors of the first sample, by name.

    Huber loss of errors in metres, for robustness; squared errors of coverage.
    """
    named = {}
    for name, errors in prediction.errors(target).items():
        first = replace(errors, value=errors.value[:, :1])
        huber = name.endswith("_m")
        named[name] = first.mean(_huber(first.value) if huber else first.value.square())
    return named


def weighted_sum(
    named: dict[str, Float[Tensor, ""]], config: WorldModelLossConfig
) -> Float[Tensor, ""]:
    """Weighted sum of the losses.

    Lateral errors weigh more, since a few metres across are another lane.
    """
    weights = {"across_m": config.across_weight, "flow_m": config.flow_weight}
    return torch.stack([weights.get(name, 1.0) * cost for name, cost in named.items()]).sum()


def _huber(error: Tensor) -> Tensor:
    return functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def ego_squared_error(
    predicted: Float[Tensor, "batch time 4"], target: Float[Tensor, "batch time 4"]
) -> Float[Tensor, ""]:
    """Squared error of the ego's state in the target's frame; 0.1 rad is weighted as 1 m."""
    error = to_local(predicted, target)
    speed_error = predicted[..., 3:] - target[..., 3:]
    error = torch.cat([error[..., :2], 10.0 * error[..., 2:3], speed_error], dim=-1)
    return error.square().sum(-1).mean()
