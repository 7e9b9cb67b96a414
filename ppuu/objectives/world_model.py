"""Learning to predict the surroundings: reconstruction through a posterior with z-dropout."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from ..observation import Observation
from ..world_models.base import WorldModel
from .terms import Terms


def world_model_loss(
    model: WorldModel,
    observation: Observation,
    ego: Float[Tensor, "batch time 4"],
    vehicles: Float[Tensor, "batch time rows columns"],
    road: Float[Tensor, "batch 1 2 rows columns"],
    road_step: Int[Tensor, " 1"],
    flow: Float[Tensor, "batch time 2 rows columns"],
    known: Bool[Tensor, "batch time rows columns"],
    latent_dropout: float,
    divergence_weight: float,
    flow_weight: float,
) -> Terms:
    """One unroll over the horizon, each step's latent taken from the posterior or the prior.

    z-dropout (Henaff et al., 2019, section 3.1): with probability ``latent_dropout`` a step's
    latent is a sample of the prior instead, so the model cannot hide in the latent what the
    history already tells, and its predictions stay sane when the latent is sampled.

    Args:
        model: any world model.
        observation: the history.
        ego: the ego's recorded states at the model's steps.
        vehicles: what followed, drawn at the model's image poses.
        road: the road at one of the steps, drawn likewise; one is enough, it hardly changes.
        road_step: which step that is.
        flow: where each vehicle pixel of the last image went, in metres; teaches models that
            carry pixels along what image errors alone teach slowly.
        known: where the flow is known.
        latent_dropout: probability of a prior sample, for each clip and step on its own.
        divergence_weight: weight of the KL divergence (nats, summed over latent and time).
        flow_weight: weight of the flow's error (metres, Huber).
    """
    batch, steps = vehicles.shape[:2]
    state = model.encode(observation)
    states, divergences = [], []
    for step in range(steps):
        posterior = model.posterior(state, vehicles[:, step])
        keep = (torch.rand(batch, 1, device=vehicles.device) >= latent_dropout).to(vehicles.dtype)
        sample = posterior.sample()
        latent = keep * sample + (1.0 - keep) * torch.randn_like(sample)
        divergences.append(keep[:, 0] * posterior.divergence())
        state = model.advance(state, ego[:, step], latent)
        states.append(state)
    futures = model.decode(states, observation, 1)
    vehicle_error = (futures.vehicles[:, 0] - vehicles).square().mean()
    road_error = (futures.road[:, road_step] - road).square().mean()
    divergence = torch.stack(divergences, dim=1).sum(1).mean()
    named = {"vehicles": vehicle_error, "road": road_error, "divergence": divergence}
    total = vehicle_error + road_error + divergence_weight * divergence
    if futures.flow is not None:
        owner, pixel = futures.flow.owner, futures.flow.pixel
        target = flow.flatten(3)[owner, :, :, pixel]
        sure = known.flatten(2)[owner, :, pixel]
        error = functional.smooth_l1_loss(futures.flow.metres[:, 0], target, reduction="none").sum(
            -1
        )
        named["flow"] = (error * sure).sum() / sure.sum().clamp(min=1)
        total = total + flow_weight * named["flow"]
    return Terms(total, named)
