"""The recurrent world model: each frame is encoded once, and rollouts stay in feature space.

A convolutional GRU (Ballas et al., 2016, 1511.06432) reads the frames of the history, in the
constant-velocity frame, one by one; then it continues without frames, with a latent per step as
its input.  PPUU encodes a stack of 20 frames at every step, including its own predictions; here
images are only decoded when needed: features become velocity maps that warp the last image
(``forward_warp``), as in the decoupled model, which encodes its history as a stack.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..encoders.dropout import MapDropout
from ..perception.constant_velocity_frame import aligned_vehicles
from ..perception.flow import block_matching_flow
from ..perception.observation import Normalizer, Observation
from ..perception.raster_image import LANES, OFFROAD
from ..predictions import OccupancyPrediction, Target, TargetConfig
from ..runtime.errors import InputError
from .base import DropoutConfig, Ego, WorldModel
from .forward_warp import MAPS, forward_warp
from .latent import Latent, init_posterior, zero_init


@dataclass(frozen=True)
class RecurrentConfig(DropoutConfig):
    """Size of the recurrent model.

    Attributes:
        channels: feature maps of a frame at 1/2, and of frames and state at 1/4 of the resolution.
    """

    channels: tuple[int, int] = (16, 48)

    def __post_init__(self):
        super().__post_init__()
        if self.latent < 1 or min(self.channels) < 1:
            raise InputError(
                f"latent {self.latent} and channels {self.channels} must be at least 1"
            )

    def build(self) -> RecurrentWorldModel:
        """A newly initialised model."""
        return RecurrentWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """Features, and constants of the rollout.

    Attributes:
        features: the GRU's state.
        flow: measured in the history by block matching.
        steps: number of steps so far.
    """

    features: Float[Tensor, "batch channels rows2 columns2"]
    flow: Float[Tensor, "batch 2 rows columns"]
    steps: int


class RecurrentWorldModel(WorldModel):
    """The recurrent model described above.  Default: 0.4 M parameters."""

    normalizer: Normalizer

    def __init__(self, config: RecurrentConfig):
        super().__init__()
        self.config = config
        self.spec = config.spec(target=TargetConfig(images=True, flow=True))
        half, channels = config.channels
        ego_features = config.observation.frames * 4 + 2
        self.normalizer = Normalizer(ego_features)
        self.frame_encoder = _encoder(1, half, channels)
        self.road_encoder = _encoder(4, half, channels)
        self.ego_encoder = nn.Sequential(
            nn.Linear(ego_features, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.gru = _ConvGru(channels, config.dropout)
        with torch.no_grad():
            blank = torch.zeros(1, 1, self.raster.rows, self.raster.columns)
            self._size = self.frame_encoder(blank).shape[-2:]
        self.latent_proj = nn.Linear(config.latent, channels * self._size[0] * self._size[1])
        self.posterior_head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(2 * channels, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1),
            nn.ReLU(), nn.Flatten(), nn.LazyLinear(2 * config.latent),
        )  # fmt: skip
        self.posterior_head(torch.zeros(1, 2 * channels, *self._size))
        init_posterior(self.posterior_head[-1])
        # Two columns of maps for each column of features.
        last = zero_init(nn.Conv2d(32, 2 * MAPS, 3, 1, 1))
        self.motion_head = nn.Sequential(nn.Conv2d(channels, 32, 3, 1, 1), nn.ReLU(), last)

    def begin(self, observation: Observation) -> _State:
        """Reads the history frame by frame, then the road, the measured flow and the ego's path."""
        seconds_ago = self.config.observation.lags(observation.ego.device) * self.config.dt_s
        history = aligned_vehicles(observation, seconds_ago, self.raster)
        frames = self.frame_encoder(history.flatten(0, 1)[:, None]).unflatten(0, history.shape[:2])
        features = torch.zeros_like(frames[:, 0])
        for number in range(len(seconds_ago)):
            features = self.gru(frames[:, number], features)
        flow = block_matching_flow(history, seconds_ago, self.raster)
        road = observation.images[:, -1, [LANES, OFFROAD]]
        road = self.road_encoder(torch.cat([road, 0.3 * flow], dim=1))
        ego = self.ego_encoder(self.normalizer.ego(observation.ego_features))
        return _State(self.gru(road + ego[:, :, None, None], features), flow, 0)

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Features one step later; ``ego`` is ignored."""
        latent_maps = self.latent_proj(latent).view(len(latent), -1, *self._size)
        features = self.gru(latent_maps, state.features)
        return replace(state, features=features, steps=state.steps + 1), ego

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the features before the step and those of the target's frame after it."""
        assert target.images is not None
        frame = self.frame_encoder(target.images.vehicles[:, step, None])
        return Latent.of(self.posterior_head(torch.cat([state.features, frame], dim=1)))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """Warps the last image forward; all steps and samples in one batch."""
        features = torch.stack([state.features for state in states], dim=1)
        maps = self.motion_head(functional.relu(features.flatten(0, 1)))
        maps = maps.unflatten(1, (MAPS, 2)).movedim(2, -1).flatten(-2)
        maps = maps.unflatten(0, (len(observation.ego), samples, len(states)))
        seconds = maps.new_tensor([state.steps for state in states]) * self.step_s
        return forward_warp(observation, states[0].flow[::samples], maps, seconds, self.raster)


def _encoder(images: int, half: int, channels: int) -> nn.Sequential:
    """From images to features at 1/4 of their resolution."""
    return nn.Sequential(
        nn.Conv2d(images, half, 4, 2, 1), nn.ReLU(), nn.Conv2d(half, channels, 4, 2, 1)
    )


class _ConvGru(nn.Module):
    """A gated recurrent unit with 3 x 3 convolutions.

    Dropout is on the candidate's input only, so the state itself is never dropped.
    """

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 2 * channels, 3, 1, 1)
        self.candidate = nn.Conv2d(2 * channels, channels, 3, 1, 1)
        self.dropout = MapDropout(dropout, 2 * channels)

    def forward(
        self,
        inputs: Float[Tensor, "batch channels rows2 columns2"],
        state: Float[Tensor, "batch channels rows2 columns2"],
    ) -> Float[Tensor, "batch channels rows2 columns2"]:
        """The next state."""
        gates = self.gates(torch.cat([inputs, state], dim=1)).sigmoid()
        update, reset = gates.chunk(2, dim=1)
        reset_state = torch.cat([inputs, reset * state], dim=1)
        candidate = self.candidate(self.dropout(reset_state)).tanh()
        return torch.lerp(state, candidate, update)
