"""The default world model: surroundings only, in a frame that does not depend on the ego's actions.

The images are drawn in a *gliding frame*: it starts at the ego's present pose and keeps the
present velocity.  Slow relative motion stays slow in the picture, whatever the ego decides, and
the ego's own path is a matter of geometry (``Rollout``).  "Separating the World and Ego Models"
(2204.07184) introduced the decoupling; the network here is ours.

It does not paint pixels, it moves them.  Every pixel of the last image seen that shows a vehicle
gets a velocity and is carried to where that takes it (``splat``): features at a pixel belong to
the vehicle that was there, so interaction between neighbours is a matter of small convolutions,
and what moves rigidly keeps its shape.  The velocities seen in the history (``motion``) are where
training begins: an untrained model predicts constant velocity, and predictions stay sharp without
an adversary.  A second,
faint layer paints what enters the view.  The road slides by as the gliding frame moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..encoders.dropout import MapDropout
from ..perception.constant_velocity_frame import aligned_vehicles
from ..perception.flow import seen_velocity
from ..perception.observation import Normalizer, Observation
from ..perception.raster_image import LANES, OFFROAD
from ..predictions import OccupancyPrediction, Target, TargetConfig
from ..runtime.errors import InputError
from .base import DropoutConfig, Ego, WorldModel
from .carry import MAPS, carry
from .latent import Latent, posterior_head, zero_head


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
            raise InputError(f"latent {self.latent} and channels {self.channels}: at least 1")

    def build(self) -> DecoupledWorldModel:
        """A freshly initialised model."""
        return DecoupledWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """Features at 1/8 of the resolution, and what stays fixed over a rollout."""

    features: Float[Tensor, "batch channels rows columns"]
    detail: Float[Tensor, "batch channels2 rows2 columns2"]
    motion: Float[Tensor, "batch maps rows3 columns3"]
    seen: Float[Tensor, "batch 2 rows4 columns4"]
    steps: int


class DecoupledWorldModel(WorldModel):
    """See the module's text.  Default: 0.4 M parameters."""

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
        self.ego = nn.Sequential(
            nn.Linear(ego_features, eighth), nn.ReLU(), nn.Linear(eighth, eighth)
        )
        self.settle = _Residual(eighth, dropout=0.0)
        with torch.no_grad():
            blank = torch.zeros(1, images, raster.rows, raster.columns)
            fine = self.middle(self.stem(blank))
            self._fine, self._coarse = fine.shape[-2:], self.top(fine).shape[-2:]
        positions = self._coarse[0] * self._coarse[1]
        self.spec = config.spec(
            embedding=eighth * positions, target=TargetConfig(images=True, flow=True)
        )
        self.latent_in = nn.Linear(config.latent, eighth * positions)
        self.transition = _Residual(eighth, config.dropout)
        self.witness = nn.Sequential(
            nn.Conv2d(1, half, 4, 4), nn.ReLU(), nn.Conv2d(half, eighth, 4, 2, 1)
        )
        self.explain = nn.Sequential(
            nn.ReLU(), nn.Conv2d(eighth, 32, 3, 1, 1), nn.ReLU(), nn.Flatten(),
            posterior_head(nn.Linear(32 * positions, 2 * config.latent)),
        )  # fmt: skip
        self.rise = nn.Conv2d(eighth, 32, 1)
        self.recall = nn.Conv2d(quarter, 32, 1)
        # Two heads: the motion at present, which learns quickly from small displacements and
        # serves all horizons, and its change up to a step; at twice the lateral resolution, so
        # that a lane is not dragged along with its neighbour.
        self.present = self._head()
        self.change = self._head()

    def _head(self) -> nn.Sequential:
        """From features to maps, zero at first."""
        last = zero_head(nn.Conv2d(32, 2 * MAPS, 3, 1, 1))
        return nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), last)

    def begin(self, observation: Observation) -> _State:
        """Aligns the history in the gliding frame and encodes it."""
        seconds_ago = self.config.observation.lags(observation.ego.device) * self.config.dt_s
        history = aligned_vehicles(observation, seconds_ago, self.raster)
        seen = seen_velocity(history, seconds_ago, self.raster)
        picture = torch.cat([history, observation.images[:, -1, [LANES, OFFROAD]], 0.3 * seen], 1)
        detail = functional.relu(self.middle(functional.relu(self.stem(picture))))
        ego = self.ego(self.normalizer.ego(observation.ego_features))
        features = self.settle(self.top(detail) + ego[:, :, None, None])
        detail = self.recall(detail)
        return _State(features, detail, self._motion(self.present, features, detail), seen, 0)

    def embedding(self, state: _State) -> Float[Tensor, "batch features"]:
        """The coarsest features."""
        return state.features.flatten(1)

    def _motion(
        self,
        head: nn.Module,
        features: Float[Tensor, "batch channels rows columns"],
        detail: Float[Tensor, "batch channels2 rows2 columns2"],
    ) -> Float[Tensor, "batch maps rows3 columns3"]:
        """Decodes features into maps, column pairs side by side."""
        fine = functional.interpolate(self.rise(features), self._fine, mode="bilinear")
        maps = head(functional.relu(fine + detail))
        return maps.unflatten(1, (MAPS, 2)).movedim(2, -1).flatten(-2)

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Features one step later; the ego plays no part."""
        nudge = self.latent_in(latent).view(len(latent), -1, *self._coarse)
        features = self.transition(state.features + nudge)
        return replace(state, features=features, steps=state.steps + 1), ego

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the features before the step and the vehicles seen after it."""
        assert target.images is not None
        vehicles = target.images.vehicles[:, step]
        seen = self.witness(vehicles[:, None])
        seen = functional.interpolate(seen, self._coarse, mode="nearest-exact")
        return Latent.of(self.explain(state.features + seen))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """Carries the last image along; all steps and samples in one batch."""
        steps, batch = len(states), len(observation.ego)
        features = torch.stack([state.features for state in states], dim=1).flatten(0, 1)
        detail = states[0].detail.repeat_interleave(steps, 0)
        change = self._motion(self.change, features, detail)
        maps = states[0].motion.repeat_interleave(steps, 0) + change
        maps = maps.view(batch, samples, steps, *maps.shape[1:])
        seconds = maps.new_tensor([state.steps for state in states]) * self.step_s
        return carry(observation, states[0].seen[::samples], maps, seconds, self.raster)


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
