"""CortexNet as a world model: a bottom-up and a top-down pass, connected at every level.

Canziani and Culurciello, 2017, "CortexNet: a generic network family for robust visual temporal
representations" (1706.02735).  At each step the image passes bottom-up through strided
convolutions, whose input includes the previous step's top-down features of their level; then
transposed convolutions pass top-down, with lateral connections from the bottom-up features.  Their
output is the next image, which is the input of the step after it.

Here images are in the constant-velocity frame, the latent is added at the top, and the road, which
follows from geometry, is an input but not an output.  Two differences from the paper: the output
is added to the previous image, so that an untrained network copies it; normalisation is per image,
since batch statistics would change with the replicas under dropout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..encoders.dropout import MapDropout
from ..perception.constant_velocity_frame import (
    LaneSpeedEstimate,
    aligned_vehicles,
    constant_velocity_poses,
)
from ..perception.observation import Observation
from ..perception.raster_image import LANES, OFFROAD
from ..predictions import OccupancyPrediction, Target, TargetConfig, UniformMotion
from ..runtime.errors import InputError
from .base import DropoutConfig, Ego, WorldModel
from .forward_warp import warp_road
from .latent import Latent, init_posterior, zero_init


@dataclass(frozen=True)
class CortexNetConfig(DropoutConfig):
    """Size of the network.

    Attributes:
        channels: feature maps per level; each level has half the resolution of the one below.
    """

    channels: tuple[int, ...] = (32, 64, 128)

    def __post_init__(self):
        super().__post_init__()
        if self.latent < 1 or min(self.channels, default=0) < 1:
            raise InputError(
                f"latent {self.latent} and channels {self.channels} must be at least 1"
            )

    def build(self) -> CortexNetWorldModel:
        """A newly initialised model."""
        return CortexNetWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """The image, the last top-down features, and constants of the rollout.

    Attributes:
        vehicles: the vehicle channel after the last step.
        top_down: features of the top-down pass, from the lowest level up.
        road: lane lines and off-road area in the last observed image.
        speed_mps: of the constant-velocity frame.
        steps: since the last observed image.
    """

    vehicles: Float[Tensor, "batch rows columns"]
    top_down: tuple[Tensor, ...]
    road: Float[Tensor, "batch 2 rows columns"]
    speed_mps: Float[Tensor, " batch"]
    steps: int


class CortexNetWorldModel(WorldModel):
    """CortexNet as described above.  Default: 0.4 M parameters."""

    def __init__(self, config: CortexNetConfig):
        super().__init__()
        self.config = config
        self.spec = config.spec(target=TargetConfig(images=True, flow=True))
        widths = (3, *config.channels)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.bottom_up = nn.ModuleList(
            nn.Conv2d(below if level == 0 else 2 * below, above, 3, 2, 1)
            for level, (below, above) in enumerate(pairs)
        )
        self.top_down = nn.ModuleList(
            nn.ConvTranspose2d(above, 1 if level == 0 else below, 3, 2, 1)
            for level, (below, above) in enumerate(pairs)
        )
        zero_init(self.top_down[0])
        self.bottom_up_norm = nn.ModuleList(nn.GroupNorm(1, above) for above in config.channels)
        self.top_down_norm = nn.ModuleList(nn.GroupNorm(1, below) for below in config.channels[:-1])
        self.dropout = MapDropout(config.dropout, config.channels[-1])
        self._sizes = [(self.raster.rows, self.raster.columns)]
        for _ in config.channels:
            rows, columns = self._sizes[-1]
            self._sizes.append(((rows + 1) // 2, (columns + 1) // 2))
        top = config.channels[-1] * self._sizes[-1][0] * self._sizes[-1][1]
        self.latent_proj = nn.Linear(config.latent, top)
        self.posterior_head = nn.Sequential(
            nn.Linear(2 * config.channels[-1], 128), nn.ReLU(),
            init_posterior(nn.Linear(128, 2 * config.latent)),
        )  # fmt: skip

    def begin(self, observation: Observation) -> _State:
        """Steps through the history; each predicted image is replaced by the observed one."""
        seconds_ago = self.config.observation.lags(observation.ego.device) * self.config.dt_s
        history = aligned_vehicles(observation, seconds_ago, self.raster)
        batch = len(history)
        top_down = tuple(
            history.new_zeros(batch, width, *size)
            for width, size in zip(self.config.channels[:-1], self._sizes[1:-1], strict=True)
        )
        frames = history.shape[1]
        road = observation.images[:, -1, [LANES, OFFROAD]]
        state = _State(history[:, 0], top_down, road, observation.ego[:, -1, 3], 1 - frames)
        for number in range(1, frames):
            state = replace(self._pass(state, None), vehicles=history[:, number])
        return state

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """The next image, given the last one; ``ego`` is ignored."""
        return self._pass(state, latent), ego

    def _pass(self, state: _State, latent: Float[Tensor, "batch latent"] | None) -> _State:
        """A bottom-up and a top-down pass; the output is added to the image."""
        features, lateral = self._encode(state)
        if latent is not None:
            features = features + self.latent_proj(latent).view_as(features)
        features = self.dropout(features)
        top_down = []
        for level in range(len(lateral) - 1, 0, -1):
            features = self.top_down[level](features, output_size=self._sizes[level])
            top_down.insert(0, features)
            features = functional.relu(features + lateral[level - 1])
            features = self.top_down_norm[level - 1](features)
        change = self.top_down[0](features, output_size=self._sizes[0])[:, 0]
        vehicles = (state.vehicles + change).clamp(0.0, 1.0)
        return replace(state, vehicles=vehicles, top_down=tuple(top_down), steps=state.steps + 1)

    def _encode(self, state: _State) -> tuple[Tensor, list[Tensor]]:
        """The bottom-up pass: features of the top level, and pre-activations of every level."""
        features, lateral = self._image(state), []
        for level, layer in enumerate(self.bottom_up):
            if level > 0:
                features = torch.cat([features, state.top_down[level - 1]], dim=1)
            lateral.append(layer(features))
            features = self.bottom_up_norm[level](functional.relu(lateral[-1]))
        return features, lateral

    def _image(self, state: _State) -> Float[Tensor, "batch 3 rows columns"]:
        """The vehicles, and the road as it is at that step."""
        seconds = state.road.new_tensor([state.steps * self.step_s])
        no_motion = torch.zeros_like(state.road)[:, None]
        road = warp_road(state.road, no_motion, seconds, state.speed_mps, self.raster)
        return torch.cat([state.vehicles[:, None], road[:, 0]], dim=1)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the top features before the step and those of the target image after it."""
        assert target.images is not None
        after = replace(state, vehicles=target.images.vehicles[:, step], steps=state.steps + 1)
        features = [self._encode(one)[1][-1].mean((-2, -1)) for one in (state, after)]
        return Latent.of(self.posterior_head(torch.cat(features, dim=1)))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """The predicted vehicle channels, and the road warped to each step."""
        vehicles = torch.stack([state.vehicles for state in states], dim=1)
        seconds = vehicles.new_tensor([state.steps for state in states]) * self.step_s
        road = observation.images[:, -1, [LANES, OFFROAD]]
        no_motion = torch.zeros_like(road)[:, None].expand(-1, len(states), -1, -1, -1)
        road = warp_road(road, no_motion, seconds, observation.ego[:, -1, 3], self.raster)
        return OccupancyPrediction(
            constant_velocity_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            vehicles.unflatten(0, (-1, 1, samples)),
            road[:, None, None],
            UniformMotion(LaneSpeedEstimate(observation, self.observation, self.dt_s)),
        )
