"""One small world model of each kind, and clips that it can be asked about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from data.clips.clips import Clip, Clips
from ppuu.encoders import ConvConfig, JepaNetworkConfig, MapHead, ResidualConfig
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.predictions import Prediction
from ppuu.runtime.pytree import mapped
from ppuu.world_models import (
    CortexNetConfig,
    CoupledConfig,
    DecoupledConfig,
    Ensemble,
    JepaConfig,
    RecurrentConfig,
    TokensConfig,
    WorldModel,
    WorldModelConfig,
)
from tests.helpers import Car, straight_recording
from tests.rollouts import TINY, TINY_OBSERVATION, tiny_clips

STEPS = 3
DROPOUT = 0.5
"""So large that no two masks of these few features are likely to be the same."""
_TALL = ObservationConfig(3, 3, RasterConfig(64, 24))
_TOKENS = TokensConfig(ObservationConfig(3, 3, TINY, vehicles=6), hidden=8, pair=8, dropout=DROPOUT)
_COUPLED = CoupledConfig(_TALL, features=8, latent=4, dropout=DROPOUT)
CONFIGS: dict[str, WorldModelConfig] = {
    "tokens": _TOKENS,
    "tokens-rollout": replace(_TOKENS, scene_latent=1, latent_span="rollout", prior="learned"),
    "decoupled": DecoupledConfig(TINY_OBSERVATION, channels=(4, 8, 8), latent=4, dropout=DROPOUT),
    "recurrent": RecurrentConfig(TINY_OBSERVATION, channels=(4, 8), latent=4, dropout=DROPOUT),
    "cortexnet": CortexNetConfig(TINY_OBSERVATION, channels=(4, 8), latent=4, dropout=DROPOUT),
    "coupled": _COUPLED,
    "kinematic": replace(_COUPLED, ego="kinematic"),
    "jepa": JepaConfig(
        TINY_OBSERVATION,
        jepa=JepaNetworkConfig(ConvConfig((4, 8), 2), MapHead(6), ResidualConfig(8, DROPOUT)),
        latent=3,
        readout=8,
        distraction=0.3,
    ),
}
CROWDED = [Car(10.0 * k + 3.0 * lane, lane, 9.0 + lane) for lane in range(3) for k in range(3)]
"""So close together that all of them cost something."""
ENSEMBLES = {f"ensemble-{name}": name for name in ("tokens-rollout", "decoupled", "coupled")}
"""Of which models there are ensembles."""


@dataclass(frozen=True, eq=False)
class Case:
    """A model and clips, in double precision unless asked for otherwise.

    Attributes:
        model: as after some training, nothing is zero any more; without gradients, not training.
        clips, clip: three of them.
        paths: ``(batch, candidates, STEPS, 4)`` of the ego: the recorded one, and one off it.
    """

    model: WorldModel
    clips: Clips
    clip: Clip
    paths: Tensor

    def rows(self, some: Tensor) -> Case:
        """Some of the clips alone."""
        observation = self.clip.observation.take(some)
        clip = replace(self.clip, observation=observation)
        return Case(self.model, self.clips, clip, self.paths[some])

    def noise(self, samples: int, seed: int = 1, rows: int | None = None) -> Tensor:
        """For every clip, or so many."""
        shape = (len(self.paths) if rows is None else rows, samples, STEPS, self.model.spec.latent)
        return torch.randn(*shape, generator=seeded(seed), dtype=self.paths.dtype)


def seeded(seed: int = 0) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)


def model_like_trained(config: WorldModelConfig, seed: int = 0) -> WorldModel:
    """As after some training: nothing is zero any more."""
    torch.manual_seed(seed)
    model = config.build().eval().requires_grad_(False)
    for weight in model.parameters():
        weight.add_(0.1 * torch.randn_like(weight))
    return model


def case_of(name: str, dtype: torch.dtype = torch.float64) -> Case:
    """By name, a model of ``CONFIGS`` or an ensemble of two of ``ENSEMBLES``."""
    config = CONFIGS[ENSEMBLES.get(name, name)]
    model = model_like_trained(config)
    if name in ENSEMBLES:
        model = Ensemble([model, model_like_trained(config, seed=1)])
    clips = tiny_clips([straight_recording(CROWDED, frames=60)], 3 * STEPS, config.observation)
    clip = clips.batch(torch.tensor([3, 70, 140]))
    clip = mapped(clip, lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
    path = clip.future[:, 2 : 3 * STEPS : 3]
    away = path + path.new_tensor([0.5, 0.2, 0.01, 1.0])
    return Case(model.to(dtype), clips, clip, torch.stack([path, away], dim=1))


def contents(prediction: Prediction) -> dict[str, Tensor]:
    """All tensors of a prediction, the vehicles' momentum among them."""
    names = ("pose", "states", "vehicles", "road")
    found = {name: getattr(prediction, name, None) for name in names}
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if "vehicles" in tensors:
        tensors["momentum"] = prediction.motion.momentum(prediction.vehicles)
    return tensors
