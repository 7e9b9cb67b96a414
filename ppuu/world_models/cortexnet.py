"""CortexNet as a world model: bottom-up and top-down passes that meet at every level.

Canziani and Culurciello, 2017, "CortexNet: a generic network family for robust visual temporal
representations" (1706.02735).  Each step, a picture climbs through strided convolutions, which
also look at what the top-down pass said at their level a step ago; then transposed convolutions
descend from the top and meet, level by level, what came up (lateral connections).  What arrives at
the bottom is the next picture, and the input of the step after it.

Here the picture is that of the gliding frame, the latent is added at the top, and the road, which
geometry knows, is an input but no output.  Two departures: what arrives at the bottom is added to
the picture before it, so that an untrained network copies; layers are normalised for each picture
by itself, since a batch's statistics would change with the replicas that run under dropout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..encoders.dropout import MapDropout
from ..perception.constant_velocity_frame import SeenLaneSpeed, aligned_vehicles, gliding_poses
from ..perception.observation import Observation
from ..perception.raster_image import LANES, OFFROAD
from ..predictions import OccupancyPrediction, Target, TargetConfig, UniformMotion
from ..runtime.errors import InputError
from .base import DropoutConfig, Ego, WorldModel
from .carry import carried_road
from .latent import Latent, posterior_head, zero_head


@dataclass(frozen=True)
class CortexNetConfig(DropoutConfig):
    """Size of the network.

    Attributes:
        channels: of the levels above the picture; each has half the resolution of the one below.
    """

    channels: tuple[int, ...] = (32, 64, 128)

    def __post_init__(self):
        super().__post_init__()
        if self.latent < 1 or min(self.channels, default=0) < 1:
            raise InputError(f"latent {self.latent} and channels {self.channels}: at least 1")

    def build(self) -> CortexNetWorldModel:
        """A freshly initialised model."""
        return CortexNetWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """The picture, what the top-down pass last said, and what never changes."""

    vehicles: Float[Tensor, "batch rows columns"]
    said: tuple[Tensor, ...]
    road: Float[Tensor, "batch 2 rows columns"]
    speed_mps: Float[Tensor, " batch"]
    steps: int


class CortexNetWorldModel(WorldModel):
    """See the module's text.  Default: 0.4 M parameters."""

    def __init__(self, config: CortexNetConfig):
        super().__init__()
        self.config = config
        self.spec = config.spec(target=TargetConfig(images=True, flow=True))
        widths = (3, *config.channels)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.up = nn.ModuleList(
            nn.Conv2d(below if level == 0 else 2 * below, above, 3, 2, 1)
            for level, (below, above) in enumerate(pairs)
        )
        self.down = nn.ModuleList(
            nn.ConvTranspose2d(above, 1 if level == 0 else below, 3, 2, 1)
            for level, (below, above) in enumerate(pairs)
        )
        zero_head(self.down[0])
        self.norm_up = nn.ModuleList(nn.GroupNorm(1, above) for above in config.channels)
        self.norm_down = nn.ModuleList(nn.GroupNorm(1, below) for below in config.channels[:-1])
        self.dropout = MapDropout(config.dropout, config.channels[-1])
        self._sizes = [(self.raster.rows, self.raster.columns)]
        for _ in config.channels:
            rows, columns = self._sizes[-1]
            self._sizes.append(((rows + 1) // 2, (columns + 1) // 2))
        top = config.channels[-1] * self._sizes[-1][0] * self._sizes[-1][1]
        self.nudge = nn.Linear(config.latent, top)
        self.explain = nn.Sequential(
            nn.Linear(2 * config.channels[-1], 128), nn.ReLU(),
            posterior_head(nn.Linear(128, 2 * config.latent)),
        )  # fmt: skip

    def begin(self, observation: Observation) -> _State:
        """Watches the history; each frame's prediction is dropped for what was seen instead."""
        seconds_ago = self.config.observation.lags(observation.ego.device) * self.config.dt_s
        history = aligned_vehicles(observation, seconds_ago, self.raster)
        batch = len(history)
        said = tuple(
            history.new_zeros(batch, width, *size)
            for width, size in zip(self.config.channels[:-1], self._sizes[1:-1], strict=True)
        )
        frames = history.shape[1]
        road = observation.images[:, -1, [LANES, OFFROAD]]
        state = _State(history[:, 0], said, road, observation.ego[:, -1, 3], 1 - frames)
        for number in range(1, frames):
            state = replace(self._pass(state, None), vehicles=history[:, number])
        return state

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """The next picture, from its own last one; the ego plays no part."""
        return self._pass(state, latent), ego

    def _pass(self, state: _State, latent: Float[Tensor, "batch latent"] | None) -> _State:
        """Up to the top, down again, and the change that arrives is made to the picture."""
        rising, levels = self._climb(state)
        falling = rising
        if latent is not None:
            falling = falling + self.nudge(latent).view_as(rising)
        falling = self.dropout(falling)
        said = []
        for level in range(len(levels) - 1, 0, -1):
            falling = self.down[level](falling, output_size=self._sizes[level])
            said.insert(0, falling)
            falling = self.norm_down[level - 1](functional.relu(falling + levels[level - 1]))
        change = self.down[0](falling, output_size=self._sizes[0])[:, 0]
        vehicles = (state.vehicles + change).clamp(0.0, 1.0)
        return replace(state, vehicles=vehicles, said=tuple(said), steps=state.steps + 1)

    def _climb(self, state: _State) -> tuple[Tensor, list[Tensor]]:
        """What arrives at the top, and what each level said before it was rectified."""
        rising, levels = self._picture(state), []
        for level, up in enumerate(self.up):
            heard = rising if level == 0 else torch.cat([rising, state.said[level - 1]], dim=1)
            levels.append(up(heard))
            rising = self.norm_up[level](functional.relu(levels[-1]))
        return rising, levels

    def _picture(self, state: _State) -> Float[Tensor, "batch 3 rows columns"]:
        """The vehicles on the road as it is to be seen by then."""
        seconds = state.road.new_tensor([state.steps * self.step_s])
        still = torch.zeros_like(state.road)[:, None]
        road = carried_road(state.road, still, seconds, state.speed_mps, self.raster)
        return torch.cat([state.vehicles[:, None], road[:, 0]], dim=1)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the embeddings before the step and of the true picture after it."""
        assert target.images is not None
        then = replace(state, vehicles=target.images.vehicles[:, step], steps=state.steps + 1)
        embeddings = [self._climb(one)[1][-1].mean((-2, -1)) for one in (state, then)]
        return Latent.of(self.explain(torch.cat(embeddings, dim=1)))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """The pictures, and the road as it slides by."""
        vehicles = torch.stack([state.vehicles for state in states], dim=1)
        seconds = vehicles.new_tensor([state.steps for state in states]) * self.step_s
        road = observation.images[:, -1, [LANES, OFFROAD]]
        still = torch.zeros_like(road)[:, None].expand(-1, len(states), -1, -1, -1)
        road = carried_road(road, still, seconds, observation.ego[:, -1, 3], self.raster)
        return OccupancyPrediction(
            gliding_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            vehicles.unflatten(0, (-1, 1, samples)),
            road[:, None, None],
            UniformMotion(SeenLaneSpeed(observation, self.observation, self.dt_s)),
        )
