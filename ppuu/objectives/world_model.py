"""Learning to predict the surroundings: reconstruction through a posterior with z-dropout."""

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
        samples: futures of each clip, drawn from the prior and held together against the truth
            by their energy score, for models of tracks; 0 for none.
        score_weight: of the score of vehicles' paths.
        scene_weight: of the score of whole scenes against that.
        latent_dropout: z-dropout, the share of steps whose latent comes from the prior; none are
            dropped if futures of the prior are scored.
        divergence_weight: of the KL divergence (beta), in nats summed over latent and time.
        free_nats: divergence of a step that costs nothing, so that the latent is not given up.
        balance: KL balancing with a learned prior: the share of the divergence's pull that draws
            the prior to the posterior; the rest draws the posterior to the prior.
        flow_weight: of the error of the vehicles' motion in metres, for models of pixels.
        ego_weight: of the ego's squared error (metres, metres a second, tenths of a radian), for
            models that move it.
        across_weight: of metres across the vehicle against metres along it, for models of tracks.
    """

    samples: int = 0
    score_weight: float = 1.0
    scene_weight: float = 0.3
    latent_dropout: float = 0.5
    divergence_weight: float = 1e-5
    free_nats: float = 0.0
    balance: float = 0.5
    flow_weight: float = 0.06
    ego_weight: float = 0.01
    across_weight: float = 3.0

    def __post_init__(self):
        if self.samples < 0 or self.samples == 1:
            raise InputError(f"samples {self.samples} of a world model's loss: 0, or at least 2")
        if not 0.0 <= self.latent_dropout <= 1.0:
            raise InputError(f"latent_dropout {self.latent_dropout}: must be from 0 to 1")
        if not 0.0 < self.balance < 1.0:
            raise InputError(f"balance {self.balance}: must be between 0 and 1")
        weights = (
            "divergence_weight", "free_nats", "flow_weight", "ego_weight", "across_weight",
            "score_weight", "scene_weight",
        )  # fmt: skip
        require_not_negative("a world model's loss", **{w: getattr(self, w) for w in weights})


def world_model_loss(
    model: WorldModel,
    observation: Observation,
    target: Target,
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> Terms:
    """One unroll over the horizon, each step's latent taken from the posterior or the prior.

    z-dropout (Henaff et al., 2019, section 3.1): with probability ``latent_dropout`` a step's
    latent is a sample of the prior instead, so the model cannot hide in the latent what the
    history already tells, and its predictions stay sane when the latent is sampled.  A latent
    that lasts for the rollout is drawn, dropped and paid for once.

    Squared errors of prior samples are smallest if all samples are alike.  With ``samples``,
    several are held against the truth by a score that honest ones win, instead of z-dropout.
    """
    state = model.begin(observation)
    if config.samples == 0:
        return _inferred(model, state, observation, target, config, generator)
    whole = replace(config, latent_dropout=0.0)
    inferred = _inferred(model, state, observation, target, whole, generator)
    like, steps = observation.ego, target.ego.shape[1]
    noise = model.noise(like, len(like), config.samples, steps, generator)
    sampled = model.rollout_from(state, observation, noise, target.ego[:, None])
    scored = _scored(sampled, target, config)
    return Terms(inferred.total + scored.total, inferred.named | scored.named)


def _inferred(
    model: WorldModel,
    state: Any,
    observation: Observation,
    target: Target,
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> Terms:
    """Errors of an unroll whose latents are inferred from what followed, and what they cost."""
    batch, steps = target.ego.shape[:2]
    states, egos, divergences, latent = [], [], [], None
    for step in range(steps):
        state = model.prepared(state)
        if latent is None or model.spec.latent_span == "step":
            keep = uniform((batch,), generator, target.ego) >= config.latent_dropout
            prior, posterior = model.prior(state), model.masked_posterior(keep, state, target, step)
            latent, divergence = drawn_latent(prior, posterior, keep, config, generator)
            divergences.append(divergence)
        state, ego = model.advance(state, target.ego[:, step], latent)
        states.append(state)
        egos.append(ego)
    divergence = torch.stack(divergences, dim=1).sum(1).mean()
    named = reconstruction(model.decode(states, observation, 1), target)
    total = weighted(named, config)
    if model.spec.moves_ego:
        named["ego"] = ego_error(torch.stack(egos, dim=1), target.ego)
        total = total + config.ego_weight * named["ego"]
    named["divergence"] = divergence
    return Terms(total + config.divergence_weight * divergence, named)


def _scored(prediction: Prediction, target: Target, config: WorldModelLossConfig) -> Terms:
    """Energy scores of samples."""
    errors = prediction.errors(target)
    if "along_m" not in errors:
        raise InputError(
            f"--loss.samples {config.samples}: energy scores are of tracks; models of pixels are "
            "trained with 0"
        )
    along, across = errors["along_m"], errors["across_m"]
    off = torch.stack([along.value, across.value], dim=-1)
    named = energy_scores(off, along.weight[:, 0], config.across_weight)
    total = named["vehicle_score"] + config.scene_weight * named["scene_score"]
    return Terms(config.score_weight * total, named)


def drawn_latent(
    prior: Latent | None,
    posterior: Latent,
    keep: Bool[Tensor, " batch"],
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, " batch"]]:
    """A latent for each clip, from the posterior or the prior, and what the former costs."""
    other = prior or Latent.standard(posterior.mean)
    latent = torch.where(keep[:, None], posterior.sample(generator), other.sample(generator))
    paid = (balanced_divergence(posterior, prior, config.balance) - config.free_nats).clamp(min=0.0)
    return latent, keep * paid


def balanced_divergence(
    posterior: Latent, prior: Latent | None, balance: float
) -> Float[Tensor, " batch"]:
    """KL divergence whose gradient is shared out between prior and posterior.

    Hafner et al., 2021, "Mastering Atari with discrete world models", algorithm 2.  The value is
    the divergence, whatever the balance; 0.5 leaves its gradient as it is, but for a factor of
    one half.  A prior that is not learned takes no share.
    """
    if prior is None:
        return posterior.divergence()
    return balance * posterior.detach().divergence(prior) + (1.0 - balance) * posterior.divergence(
        prior.detach()
    )


def reconstruction(prediction: Prediction, target: Target) -> dict[str, Float[Tensor, ""]]:
    """What each kind of error costs, by name, in the first sample.

    Huber's loss of lengths in metres, which large errors must not dominate; squares of coverage.
    """
    named = {}
    for name, errors in prediction.errors(target).items():
        first = replace(errors, value=errors.value[:, :1])
        huber = name.endswith("_m")
        named[name] = first.mean(_huber(first.value) if huber else first.value.square())
    return named


def weighted(
    named: dict[str, Float[Tensor, ""]], config: WorldModelLossConfig
) -> Float[Tensor, ""]:
    """The sum of what errors cost.

    A metre across decides between lanes, so it weighs more than one along.
    """
    weights = {"across_m": config.across_weight, "flow_m": config.flow_weight}
    return torch.stack([weights.get(name, 1.0) * cost for name, cost in named.items()]).sum()


def _huber(error: Tensor) -> Tensor:
    return functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")


def ego_error(
    told: Float[Tensor, "batch time 4"], true: Float[Tensor, "batch time 4"]
) -> Float[Tensor, ""]:
    """Squared error of the ego's state, seen from its true pose; a tenth of a radian is a metre."""
    off = to_local(told, true)
    off = torch.cat([off[..., :2], 10.0 * off[..., 2:3], told[..., 3:] - true[..., 3:]], dim=-1)
    return off.square().sum(-1).mean()
