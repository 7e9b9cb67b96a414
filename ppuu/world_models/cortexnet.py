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

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError
from ..observation import Normalizer, Observation, ObservationConfig
from ..raster import LANES, OFFROAD
from ..rollout import Futures
from .base import Latent, Truth, WorldModel
from .carry import carried_road
from .gliding import aligned_vehicles, gliding_poses


@dataclass(frozen=True)
class CortexNetConfig:
    """Size of the network.

    Attributes:
        observation: the history it sees.
        frames_per_step: recorded frames one model step spans.
        dt_s: seconds a recorded frame.
        channels: of the levels above the picture; each has half the resolution of the one below.
        latent: width of the latent of a step.
        dropout: probability, also for the replicas that measure uncertainty.
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    frames_per_step: int = 3
    dt_s: float = 0.1
    channels: tuple[int, ...] = (32, 64, 128)
    latent: int = 16
    dropout: float = 0.1

    def __post_init__(self):
        if self.frames_per_step < 1 or self.latent < 1 or not self.dt_s > 0:
            raise InputError("frames_per_step, latent and dt_s of a world model must be positive")
        if not 0.0 <= self.dropout < 1.0 or min(self.channels, default=0) < 1:
            raise InputError(f"dropout {self.dropout} or channels {self.channels} make no sense")

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

    decoupled = True
    predicts_images = True
    normalizer: Normalizer | None = None

    def __init__(self, config: CortexNetConfig):
        super().__init__()
        self.config = config
        self.frames_per_step, self.dt_s = config.frames_per_step, config.dt_s
        self.observation, self.latent_size = config.observation, config.latent
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
        nn.init.zeros_(self.down[0].weight)
        nn.init.zeros_(self.down[0].bias)
        self.norm_up = nn.ModuleList(nn.GroupNorm(1, above) for above in config.channels)
        self.norm_down = nn.ModuleList(nn.GroupNorm(1, below) for below in config.channels[:-1])
        self.dropout = nn.Dropout2d(config.dropout)
        self._sizes = [(self.raster.rows, self.raster.columns)]
        for _ in config.channels:
            rows, columns = self._sizes[-1]
            self._sizes.append(((rows + 1) // 2, (columns + 1) // 2))
        top = config.channels[-1] * self._sizes[-1][0] * self._sizes[-1][1]
        self.nudge = nn.Linear(config.latent, top)
        self.explain = nn.Sequential(
            nn.Linear(2 * config.channels[-1], 128), nn.ReLU(), nn.Linear(128, 2 * config.latent)
        )
        # A narrow posterior at first: what it says must be audible before it can be heeded.
        nn.init.constant_(self.explain[-1].bias[config.latent :], -2.0)

    def encode(self, observation: Observation) -> _State:
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

    def repeat(self, state: _State, copies: int) -> _State:
        """Every element ``copies`` times in a row."""
        return _State(
            state.vehicles.repeat_interleave(copies, 0),
            tuple(level.repeat_interleave(copies, 0) for level in state.said),
            state.road.repeat_interleave(copies, 0),
            state.speed_mps.repeat_interleave(copies, 0),
            state.steps,
        )

    def advance(
        self,
        state: _State,
        ego: Float[Tensor, "batch 4"] | None,
        latent: Float[Tensor, "batch latent"],
    ) -> _State:
        """The next picture, from its own last one; the ego plays no part."""
        return self._pass(state, latent)

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

    def posterior(self, state: _State, truth: Truth, step: int) -> Latent:
        """From the embeddings before the step and of the true picture after it."""
        assert truth.images is not None
        then = replace(state, vehicles=truth.images.vehicles[:, step], steps=state.steps + 1)
        embeddings = [self._climb(one)[1][-1].mean((-2, -1)) for one in (state, then)]
        mean, log_variance = self.explain(torch.cat(embeddings, dim=1)).chunk(2, dim=-1)
        return Latent(mean, log_variance.clamp(-8.0, 4.0))

    def decode(self, states: list[_State], observation: Observation, futures: int) -> Futures:
        """The pictures, and the road as it slides by."""
        vehicles = torch.stack([state.vehicles for state in states], dim=1)
        seconds = vehicles.new_tensor([state.steps for state in states]) * self.step_s
        road = observation.images[:, -1, [LANES, OFFROAD]]
        still = torch.zeros_like(road)[:, None].expand(-1, len(states), -1, -1, -1)
        return Futures(
            vehicles.unflatten(0, (-1, futures)),
            carried_road(road, still, seconds, observation.ego[:, -1, 3], self.raster),
            gliding_poses(observation.ego[:, -1], seconds),
            self.raster,
        )
