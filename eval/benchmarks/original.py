"""PPUU's forward model run the original's way: what speed is held against.

With the weights of ours, but as in the code published with Henaff et al. (2019): single precision,
images stacked along channels in the usual layout, the whole stack encoded again at every step and
for every future, the true frame encoded at every step, and z-dropout for a batch and step at once.
Futures are a batch, as the original's replicas are.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.geometry import to_local
from ppuu.objectives.world_model import WorldModelLossConfig, ego_squared_error
from ppuu.perception.observation import Observation
from ppuu.predictions import Target
from ppuu.runtime.randomness import normal
from ppuu.world_models import CoupledWorldModel, Latent


def imagine(
    model: CoupledWorldModel,
    observation: Observation,
    ego: Float[Tensor, "batch time 4"],
    latents: Float[Tensor, "batch futures time latent"],
) -> Float[Tensor, "batch futures time 3 rows columns"]:
    """Images along the ego's path, given the latents."""
    futures = latents.shape[1]
    images = observation.images.repeat_interleave(futures, 0)
    states = observation.ego.repeat_interleave(futures, 0)
    latents = latents.flatten(0, 1)
    predicted = []
    for time in range(ego.shape[1]):
        then = ego[:, time].repeat_interleave(futures, 0)
        encoded_history = encoded(model, images, states)
        image, state = advanced(model, encoded_history, images, states, then, latents[:, time])
        images = torch.cat([images[:, 1:], image[:, None]], dim=1)
        states = torch.cat([states[:, 1:], state[:, None]], dim=1)
        predicted.append(image)
    return torch.stack(predicted, dim=1).unflatten(0, (-1, futures))


def loss(
    model: CoupledWorldModel,
    observation: Observation,
    target: Target,
    config: WorldModelLossConfig,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Of a closed-loop unroll; as ``ppuu.objectives.world_model_loss`` but for z-dropout."""
    assert target.images is not None
    lanes, offroad = target.images.road.unbind(2)
    true = torch.stack([lanes, target.images.vehicles, offroad], dim=2)
    images, states = observation.images, observation.ego
    predicted, moved = [], []
    divergence = images.new_zeros(len(images))
    for time in range(target.ego.shape[1]):
        encoded_history = encoded(model, images, states)
        encoded_target = model.posterior_encoder(true[:, time])
        if float(torch.rand((), generator=generator)) < config.latent_dropout:
            latent = normal((len(images), model.spec.latent), generator, images)
        else:
            features = (encoded_history + encoded_target).flatten(1)
            posterior = Latent.of(model.posterior_head(features))
            latent = posterior.sample(generator)
            divergence = divergence + posterior.divergence()
        image, state = advanced(model, encoded_history, images, states, target.ego[:, time], latent)
        images = torch.cat([images[:, 1:], image[:, None]], dim=1)
        states = torch.cat([states[:, 1:], state[:, None]], dim=1)
        predicted.append(image)
        moved.append(state)
    off = torch.stack(predicted, dim=1) - true
    total = off[:, :, 1].square().mean() + off[:, :, [0, 2]].square().mean()
    total = total + config.ego_weight * ego_squared_error(torch.stack(moved, dim=1), target.ego)
    return total + config.kl_weight * divergence.mean()


def encoded(
    model: CoupledWorldModel,
    images: Float[Tensor, "batch frames 3 rows columns"],
    states: Float[Tensor, "batch frames 4"],
) -> Float[Tensor, "batch features rows8 columns8"]:
    """Features of a whole history."""
    path = to_local(states, states[:, -1:]).flatten(1)
    features = model.image_encoder(images.flatten(1, 2).contiguous())
    return features + model.ego_encoder(model.normalizer.path(path)).view(features.shape)


def advanced(
    model: CoupledWorldModel,
    encoded_history: Float[Tensor, "batch features rows8 columns8"],
    images: Float[Tensor, "batch frames 3 rows columns"],
    states: Float[Tensor, "batch frames 4"],
    then: Float[Tensor, "batch 4"],
    latent: Float[Tensor, "batch latent"],
) -> tuple[Float[Tensor, "batch 3 rows columns"], Float[Tensor, "batch 4"]]:
    """The next image, and the ego's next state."""
    present = states[:, -1]
    features = encoded_history + model.latent_proj(latent).view(encoded_history.shape)
    features = features + model.action_encoder(model.action_features(present, then)).view(
        encoded_history.shape
    )
    features = features + model.bottleneck(features)
    image = torch.sigmoid(model.image_decoder(features) + images[:, -1])
    return image, model.next_ego(present, model.ego_head(features))
