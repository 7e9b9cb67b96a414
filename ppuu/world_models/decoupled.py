"""The decoupled world model of pixels: its predictions do not depend on the ego's actions.

Images are in the *constant-velocity frame* (``ppuu.perception.constant_velocity_frame``), and the
ego's own path is a matter of geometry (``Rollout``).  "Separating the World and Ego Models"
(2204.07184) introduced the decoupling; the network is our own.

It predicts a velocity for every vehicle pixel of the last image and warps the image forward
(``splat``) instead of generating pixels: features at a pixel belong to the vehicle there, so
neighbouring vehicles interact through small convolutions, and rigid motion preserves shape.
Velocities are predicted relative to the flow measured in the history, so an untrained model
predicts constant velocity, and predictions stay sharp without an adversarial loss.  A separate map
adds vehicles that enter the view.  The road is warped by the motion of the frame.
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
class DecoupledConfig(DropoutConfig):
    """Size of the decoupled model.

    Attributes:
        channels: feature maps at 1/2, 1/4 and 1/8 of the raster's resolution.
    """

    channels: tuple[int, int, int] = (24, 48, 64)

    def __post_init__(self):
        super().__post_init__()
        if self.latent < 1 or min(self.channels) < 1:
            raise InputError(
                f"latent {self.latent} and channels {self.channels} must be at least 1"
            )

    def build(self) -> DecoupledWorldModel:
        """A newly initialised model."""
        return DecoupledWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """Features, and constants of the rollout.

    Attributes:
        features: at 1/8 of the resolution.
        skip: features of the history at 1/4, for the skip connection to the decoder.
        initial_motion: maps of the motion at the end of the history.
        flow: measured in the history by block matching.
        steps: number of steps so far.
    """

    features: Float[Tensor, "batch channels rows columns"]
    skip: Float[Tensor, "batch channels2 rows2 columns2"]
    initial_motion: Float[Tensor, "batch maps rows3 columns3"]
    flow: Float[Tensor, "batch 2 rows4 columns4"]
    steps: int


class DecoupledWorldModel(WorldModel):
    """The decoupled model described above.  Default: 0.4 M parameters."""

    normalizer: Normalizer

    def __init__(self, config: DecoupledConfig):
        super().__init__()
        self.config = config
        raster = config.observation.raster
        half, quarter, eighth = config.channels
        ego_features = config.observation.frames * 4 + 2
        self.normalizer = Normalizer(ego_features)
        images = config.observation.frames + 2 + 2
        self.stem = nn.Conv2d(images, half, 4, 2, 1)
        self.middle = nn.Conv2d(half, quarter, 4, 2, 1)
        self.top = nn.Conv2d(quarter, eighth, 4, 2, 1)
        self.ego_encoder = nn.Sequential(
            nn.Linear(ego_features, eighth), nn.ReLU(), nn.Linear(eighth, eighth)
        )
        self.fuse = _Residual(eighth, dropout=0.0)
        with torch.no_grad():
            blank = torch.zeros(1, images, raster.rows, raster.columns)
            fine = self.middle(self.stem(blank))
            self._fine, self._coarse = fine.shape[-2:], self.top(fine).shape[-2:]
        positions = self._coarse[0] * self._coarse[1]
        self.spec = config.spec(
            embedding=eighth * positions, target=TargetConfig(images=True, flow=True)
        )
        self.latent_proj = nn.Linear(config.latent, eighth * positions)
        self.transition = _Residual(eighth, config.dropout)
        self.posterior_encoder = nn.Sequential(
            nn.Conv2d(1, half, 4, 4), nn.ReLU(), nn.Conv2d(half, eighth, 4, 2, 1)
        )
        self.posterior_head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(eighth, 32, 3, 1, 1), nn.ReLU(), nn.Flatten(),
            init_posterior(nn.Linear(32 * positions, 2 * config.latent)),
        )  # fmt: skip
        self.feature_proj = nn.Conv2d(eighth, 32, 1)
        self.skip_proj = nn.Conv2d(quarter, 32, 1)
        # Two heads: the initial motion, which is learned fast from small displacements and serves
        # all horizons, and its change until a step; at twice the lateral resolution, so that
        # adjacent lanes can move differently.
        self.initial_motion_head = self._head()
        self.motion_change_head = self._head()

    def _head(self) -> nn.Sequential:
        """From features to maps, initialised to predict zero."""
        last = zero_init(nn.Conv2d(32, 2 * MAPS, 3, 1, 1))
        return nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), last)

    def begin(self, observation: Observation) -> _State:
        """Aligns the history in the constant-velocity frame and encodes it."""
        seconds_ago = self.config.observation.lags(observation.ego.device) * self.config.dt_s
        history = aligned_vehicles(observation, seconds_ago, self.raster)
        flow = block_matching_flow(history, seconds_ago, self.raster)
        inputs = torch.cat([history, observation.images[:, -1, [LANES, OFFROAD]], 0.3 * flow], 1)
        fine = functional.relu(self.middle(functional.relu(self.stem(inputs))))
        ego = self.ego_encoder(self.normalizer.ego(observation.ego_features))
        features = self.fuse(self.top(fine) + ego[:, :, None, None])
        skip = self.skip_proj(fine)
        initial_motion = self._motion(self.initial_motion_head, features, skip)
        return _State(features, skip, initial_motion, flow, 0)

    def embedding(self, state: _State) -> Float[Tensor, "batch features"]:
        """The features, flattened."""
        return state.features.flatten(1)

    def _motion(
        self,
        head: nn.Module,
        features: Float[Tensor, "batch channels rows columns"],
        skip: Float[Tensor, "batch channels2 rows2 columns2"],
    ) -> Float[Tensor, "batch maps rows3 columns3"]:
        """Decodes features to maps; pairs of channels become adjacent columns."""
        fine = functional.interpolate(self.feature_proj(features), self._fine, mode="bilinear")
        maps = head(functional.relu(fine + skip))
        return maps.unflatten(1, (MAPS, 2)).movedim(2, -1).flatten(-2)

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Features one step later; ``ego`` is ignored."""
        latent_maps = self.latent_proj(latent).view(len(latent), -1, *self._coarse)
        features = self.transition(state.features + latent_maps)
        return replace(state, features=features, steps=state.steps + 1), ego

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the features before the step and the target's vehicles after it."""
        assert target.images is not None
        vehicles = target.images.vehicles[:, step]
        encoding = self.posterior_encoder(vehicles[:, None])
        encoding = functional.interpolate(encoding, self._coarse, mode="nearest-exact")
        return Latent.of(self.posterior_head(state.features + encoding))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """Warps the last image forward; all steps and samples in one batch."""
        steps, batch = len(states), len(observation.ego)
        features = torch.stack([state.features for state in states], dim=1).flatten(0, 1)
        skip = states[0].skip.repeat_interleave(steps, 0)
        change = self._motion(self.motion_change_head, features, skip)
        maps = states[0].initial_motion.repeat_interleave(steps, 0) + change
        maps = maps.view(batch, samples, steps, *maps.shape[1:])
        seconds = maps.new_tensor([state.steps for state in states]) * self.step_s
        return forward_warp(observation, states[0].flow[::samples], maps, seconds, self.raster)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions added to their input, with dropout between."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.dropout = MapDropout(dropout, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Same shape as the input."""
        hidden = functional.relu(self.first(functional.relu(features)))
        return features + self.second(self.dropout(hidden))
