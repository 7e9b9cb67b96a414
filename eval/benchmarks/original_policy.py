"""A step of MPUR the original's way: what ours is held against.

As in the code published with Henaff et al. (2019): the policy is unrolled through the model once,
then every replica once more, one after the other, with the actions of that rollout; the stack of
images is encoded again at every step of each.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.costs import Uncertainty
from ppuu.kinematics import step
from ppuu.objectives import Terms, UnrollConfig, policy_loss
from ppuu.perception.constant_velocity_frame import LaneSpeedEstimate
from ppuu.perception.observation import Observation
from ppuu.perception.raster_image import LANES, OFFROAD, VEHICLES
from ppuu.policies import NetworkPolicy
from ppuu.predictions import OccupancyPrediction, Rollout, UniformMotion
from ppuu.world_models import CoupledWorldModel

from . import original


def loss(
    policy: NetworkPolicy,
    model: CoupledWorldModel,
    observation: Observation,
    previous_action: Float[Tensor, "batch 2"],
    config: UnrollConfig,
    uncertainty: Uncertainty,
    generator: torch.Generator,
) -> Terms:
    """Of one update."""
    latents = torch.randn(
        len(observation.ego), config.steps, model.spec.latent, generator=generator
    )
    model.eval()
    images, states, actions = _driven(model, observation, latents, policy)
    model.train()
    replicas = [_driven(model, observation, latents, actions)[0] for _ in range(config.replicas)]
    together = torch.stack([images, *replicas], dim=1)
    prediction = OccupancyPrediction(
        states[:, None, :, :3].detach(),
        model.raster,
        together[:, None, :, :, VEHICLES],
        together[:, None, :, :, [LANES, OFFROAD]],
        UniformMotion(LaneSpeedEstimate(observation, model.observation, model.dt_s)),
    )
    rollout = Rollout(
        states[:, None], actions[:, None], previous_action[:, None], observation.size_m, prediction,
        model.step_s,
    )  # fmt: skip
    return policy_loss(rollout, uncertainty, config)


def _driven(
    model: CoupledWorldModel,
    observation: Observation,
    latents: Float[Tensor, "batch time latent"],
    driver: NetworkPolicy | Tensor,
) -> tuple[
    Float[Tensor, "batch time 3 rows columns"],
    Float[Tensor, "batch time 4"],
    Float[Tensor, "batch time 2"],
]:
    """Images, ego states and actions, of a policy or of given actions."""
    images, states = observation.images, observation.ego
    predicted, moved, done = [], [], []
    for time in range(latents.shape[1]):
        if isinstance(driver, Tensor):
            action = driver[:, time]
        else:
            action = driver(Observation(images, states, observation.size_m))
        then = step(states[:, -1], action, model.dt_s)
        features = original.encoded(model, images, states)
        image, state = original.advanced(model, features, images, states, then, latents[:, time])
        images = torch.cat([images[:, 1:], image[:, None]], dim=1)
        states = torch.cat([states[:, 1:], state[:, None]], dim=1)
        predicted.append(image)
        moved.append(state)
        done.append(action)
    return torch.stack(predicted, dim=1), torch.stack(moved, dim=1), torch.stack(done, dim=1)
