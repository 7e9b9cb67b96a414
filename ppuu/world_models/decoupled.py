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

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError
from ..observation import Normalizer, Observation, ObservationConfig
from ..raster import LANES, OFFROAD, VEHICLES, sample, warp
from ..rollout import Flow, Futures
from ..splat import splat
from ..units import LANE_WIDTH_M
from .base import Latent, Truth, WorldModel, gliding_poses
from .motion import seen_velocity

_NEWCOMERS_MPS = (8.0, 1.5)
"""Fastest that vehicles enter the view, along and across the road, relative to the ego."""
_FAINT = 0.02
"""Coverage below this is not worth carrying."""


@dataclass(frozen=True)
class DecoupledConfig:
    """Size of the decoupled model.

    Attributes:
        observation: the history it sees.
        frames_per_step: recorded frames one model step spans.
        dt_s: seconds a recorded frame.
        channels: feature maps at 1/2, 1/4 and 1/8 of the raster's resolution.
        latent: width of the latent of a step (PPUU: 32).
        dropout: probability, also for the replicas that measure uncertainty.
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    frames_per_step: int = 3
    dt_s: float = 0.1
    channels: tuple[int, int, int] = (24, 48, 64)
    latent: int = 16
    dropout: float = 0.1

    def __post_init__(self):
        if self.frames_per_step < 1 or self.latent < 1 or not self.dt_s > 0:
            raise InputError("frames_per_step, latent and dt_s of a world model must be positive")
        if not 0.0 <= self.dropout < 1.0 or min(self.channels) < 1:
            raise InputError(f"dropout {self.dropout} or channels {self.channels} make no sense")

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

    decoupled = True
    predicts_images = True
    normalizer: Normalizer

    def __init__(self, config: DecoupledConfig):
        super().__init__()
        self.config = config
        self.frames_per_step = config.frames_per_step
        self.latent_size = config.latent
        self.observation = config.observation
        self.dt_s = config.dt_s
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
            blank = torch.zeros(1, images, self.raster.rows, self.raster.columns)
            fine = self.middle(self.stem(blank))
            self._fine, self._coarse = fine.shape[-2:], self.top(fine).shape[-2:]
        positions = self._coarse[0] * self._coarse[1]
        self.latent_in = nn.Linear(config.latent, eighth * positions)
        self.transition = _Residual(eighth, config.dropout)
        self.witness = nn.Sequential(
            nn.Conv2d(1, half, 4, 4), nn.ReLU(), nn.Conv2d(half, eighth, 4, 2, 1)
        )
        self.explain = nn.Sequential(
            nn.ReLU(), nn.Conv2d(eighth, 32, 3, 1, 1), nn.ReLU(), nn.Flatten(),
            nn.Linear(32 * positions, 2 * config.latent),
        )  # fmt: skip
        # A narrow posterior at first: what it says must be audible before it can be heeded.
        nn.init.constant_(self.explain[-1].bias[config.latent :], -2.0)
        self.rise = nn.Conv2d(eighth, 32, 1)
        self.recall = nn.Conv2d(quarter, 32, 1)
        # Two heads: the motion at present, which learns quickly from small displacements and
        # serves all horizons, and its change up to a step.  Their maps: velocities of vehicles
        # beyond those seen, newcomers, velocities of the road; at twice
        # the lateral resolution, so that a lane is not dragged along with its neighbour.
        self.present = self._head()
        self.change = self._head()

    def _head(self) -> nn.Sequential:
        """From features to maps, zero at first."""
        last = nn.Conv2d(32, 2 * self._MAPS, 3, 1, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(), last)

    _MAPS = 5

    def encode(self, observation: Observation) -> _State:
        """Aligns the history in the gliding frame and encodes it."""
        lags = self.config.observation.lags(observation.ego.device)
        frames = len(lags)
        target = gliding_poses(observation.ego[:, -1], -lags * self.config.dt_s)
        past = warp(
            observation.images[:, :-1, VEHICLES].flatten(0, 1)[:, None],
            observation.ego[:, :-1, :3].flatten(0, 1),
            target[:, :-1].flatten(0, 1),
            self.raster,
        ).unflatten(0, (-1, frames - 1))[:, :, 0]
        history = torch.cat([past, observation.images[:, -1:, VEHICLES]], dim=1)
        seen = seen_velocity(history, lags * self.config.dt_s, self.raster)
        picture = torch.cat([history, observation.images[:, -1, [LANES, OFFROAD]], 0.3 * seen], 1)
        detail = functional.relu(self.middle(functional.relu(self.stem(picture))))
        ego = self.ego(self.normalizer.ego(observation.ego_features))
        features = self.settle(self.top(detail) + ego[:, :, None, None])
        detail = self.recall(detail)
        return _State(features, detail, self._motion(self.present, features, detail), seen, 0)

    def repeat(self, state: _State, copies: int) -> _State:
        """Every element ``copies`` times in a row."""
        return _State(
            state.features.repeat_interleave(copies, 0),
            state.detail.repeat_interleave(copies, 0),
            state.motion.repeat_interleave(copies, 0),
            state.seen.repeat_interleave(copies, 0),
            state.steps,
        )

    def _motion(
        self,
        head: nn.Module,
        features: Float[Tensor, "batch channels rows columns"],
        detail: Float[Tensor, "batch channels2 rows2 columns2"],
    ) -> Float[Tensor, "batch maps rows3 columns3"]:
        """Decodes features into maps, column pairs side by side."""
        fine = functional.interpolate(self.rise(features), self._fine, mode="bilinear")
        maps = head(functional.relu(fine + detail))
        return maps.unflatten(1, (self._MAPS, 2)).movedim(2, -1).flatten(-2)

    def advance(
        self,
        state: _State,
        ego: Float[Tensor, "batch 4"] | None,
        latent: Float[Tensor, "batch latent"],
    ) -> _State:
        """Features one step later; the ego plays no part."""
        nudge = self.latent_in(latent).view(len(latent), -1, *self._coarse)
        features = self.transition(state.features + nudge)
        return replace(state, features=features, steps=state.steps + 1)

    def posterior(self, state: _State, truth: Truth, step: int) -> Latent:
        """From the features before the step and the vehicles seen after it."""
        assert truth.images is not None
        vehicles = truth.images.vehicles[:, step]
        seen = self.witness(vehicles[:, None])
        seen = functional.interpolate(seen, self._coarse, mode="nearest-exact")
        mean, log_variance = self.explain(state.features + seen).chunk(2, dim=-1)
        return Latent(mean, log_variance.clamp(-8.0, 4.0))

    def decode(self, states: list[_State], observation: Observation, futures: int) -> Futures:
        """Carries the last image along; all steps and futures in one batch."""
        steps, batch = len(states), len(observation.ego)
        features = torch.stack([state.features for state in states], dim=1).flatten(0, 1)
        detail = states[0].detail.repeat_interleave(steps, 0)
        change = self._motion(self.change, features, detail)
        maps = states[0].motion.repeat_interleave(steps, 0) + change
        maps = maps.view(batch, futures, steps, *maps.shape[1:])
        seconds = maps.new_tensor([state.steps for state in states]) * self.step_s
        last, speed = observation.images[:, -1], observation.ego[:, -1, 3]
        seen = states[0].seen[::futures]
        moving = self._velocities(last[:, VEHICLES], seen, maps[:, :, :, :2])
        moved = moving.metres * seconds[:, None]
        carried = self._carry_vehicles(last[:, VEHICLES], replace(moving, metres=moved))
        painted = torch.sigmoid(self._full_size(maps[:, :, :, 2]) - 4.0) * self._entrance(seconds)
        road_maps = self._full_size(maps[:, 0, :, 3:])
        return Futures(
            carried + (1.0 - carried) * painted,
            self._carry_road(last[:, [LANES, OFFROAD]], road_maps, seconds, speed),
            gliding_poses(observation.ego[:, -1], seconds),
            self.raster,
            replace(moving, metres=moved),
            self._pace(last[:, VEHICLES], moving, speed),
        )

    def _full_size(self, maps: Float[Tensor, "*batch rows3 columns3"]) -> Tensor:
        """Maps at the raster's resolution."""
        flat = maps.flatten(0, -3)[:, None]
        size = (self.raster.rows, self.raster.columns)
        return functional.interpolate(flat, size, mode="bilinear").view(*maps.shape[:-2], *size)

    def _velocities(
        self,
        last: Float[Tensor, "batch rows columns"],
        seen: Float[Tensor, "batch 2 rows columns"],
        maps: Float[Tensor, "batch futures time 2 rows3 columns3"],
    ) -> Flow:
        """Velocity of every pixel that shows a vehicle: as seen, and what was learned on top.

        The learned part is read from the coarse maps at those pixels alone, since most of an
        image shows none.
        """
        batch, futures, steps = maps.shape[:3]
        owner, pixel = (last.flatten(1) > _FAINT).nonzero(as_tuple=True)
        corner, weight = _bilinear(last.shape[1:], maps.shape[-2:], last)
        cells = maps.flatten(4).movedim(-1, 1).flatten(0, 1).flatten(1)
        learned = torch.zeros_like(cells[:1])
        for k in range(4):
            row = owner * (len(cells) // batch) + corner[pixel, k]
            learned = learned + weight[pixel, k, None] * cells.index_select(0, row)
        velocity = seen.flatten(2)[owner, :, pixel][:, None, None] + learned.view(
            -1, futures, steps, 2
        )
        return Flow(owner, pixel, velocity)

    def _pace(
        self, last: Float[Tensor, "batch rows columns"], moving: Flow, speed_mps: Tensor
    ) -> Float[Tensor, "batch time"]:
        """Mean speed of the vehicles straight ahead and behind."""
        left = self.raster.pixel_centres_m(last.device, last.dtype)[..., 1].flatten()
        mass = last.flatten(1)[moving.owner, moving.pixel]
        mass = mass * (left[moving.pixel].abs() < 0.5 * LANE_WIDTH_M)
        velocity = moving.metres[..., 0].mean(1)
        zero = velocity.new_zeros(len(last), velocity.shape[1])
        moment = zero.index_add(0, moving.owner, mass[:, None] * velocity)
        total = zero[:, 0].index_add(0, moving.owner, mass).clamp(min=1.0)
        return speed_mps[:, None] + moment / total[:, None]

    def _carry_vehicles(
        self, last: Float[Tensor, "batch rows columns"], flow: Flow
    ) -> Float[Tensor, "batch futures time rows columns"]:
        """Every vehicle pixel lands where its flow takes it."""
        futures, steps = flow.metres.shape[1:3]
        grid = self.raster.pixel_centres_m(last.device, last.dtype).flatten(0, 1)[flow.pixel]
        place = grid[:, None, None] + flow.metres
        mass = last.flatten(1)[flow.owner, flow.pixel][:, None, None].expand_as(place[..., 0])
        copy = torch.arange(futures * steps, device=last.device).view(futures, steps)
        image = flow.owner[:, None, None] * (futures * steps) + copy
        carried = splat(
            mass.flatten(), place[..., 0].flatten(), place[..., 1].flatten(), image.flatten(),
            len(last) * futures * steps, self.raster,
        )  # fmt: skip
        return carried.clamp(max=1.0).view(-1, futures, steps, *last.shape[1:])

    def _entrance(self, seconds: Float[Tensor, " time"]) -> Float[Tensor, "time rows columns"]:
        """How far in from the edges newcomers can have come; 1 at the edge, 0 beyond reach.

        Without it the squared error asks for a faint haze everywhere, and one per cent of haze
        under the ego's whole box costs as much as a touch.
        """
        grid = self.raster.pixel_centres_m(seconds.device, seconds.dtype)
        size = grid.new_tensor([self.raster.rows, self.raster.columns])
        inwards = 0.5 * self.raster.metres_per_pixel * size - grid.abs()
        reach = seconds[:, None, None, None] * grid.new_tensor(_NEWCOMERS_MPS)
        return (1.0 + reach - inwards).clamp(0.0, 1.0).amax(-1)

    def _carry_road(
        self,
        last: Float[Tensor, "batch 2 rows columns"],
        maps: Float[Tensor, "batch time 2 rows columns"],
        seconds: Float[Tensor, " time"],
        speed_mps: Float[Tensor, " batch"],
    ) -> Float[Tensor, "batch time 2 rows columns"]:
        """The road slides backwards at the ego's present speed; beyond the view it runs on."""
        grid = self.raster.pixel_centres_m(maps.device, maps.dtype)
        speed = speed_mps[:, None, None, None] + maps[:, :, 0]
        ahead = grid[..., 0] + speed * seconds[:, None, None]
        left = grid[..., 1] - maps[:, :, 1] * seconds[:, None, None]
        road = sample(last, ahead.flatten(1, 2), left.flatten(1, 2), self.raster, padding="border")
        return road.unflatten(2, ahead.shape[1:3]).transpose(1, 2)


def _bilinear(
    size: tuple[int, int], coarse: tuple[int, int], like: Tensor
) -> tuple[Int[Tensor, "pixels 4"], Float[Tensor, "pixels 4"]]:
    """Which four cells of a coarse map each pixel reads, and their weights (as ``interpolate``)."""
    near, far, part = [], [], []
    for fine, rough in zip(size, coarse, strict=True):
        place = (torch.arange(fine, device=like.device, dtype=like.dtype) + 0.5) * rough / fine
        place = (place - 0.5).clamp(min=0.0)
        first = place.floor().long()
        near.append(first)
        far.append((first + 1).clamp(max=rough - 1))
        part.append(place - first)
    corners, weights = [], []
    for row, row_weight in ((near[0], 1.0 - part[0]), (far[0], part[0])):
        for column, column_weight in ((near[1], 1.0 - part[1]), (far[1], part[1])):
            corners.append((row[:, None] * coarse[1] + column).flatten())
            weights.append((row_weight[:, None] * column_weight).flatten())
    return torch.stack(corners, dim=1), torch.stack(weights, dim=1)


class _Residual(nn.Module):
    """Two 3 x 3 convolutions added to their input, with dropout between."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.dropout = nn.Dropout2d(dropout)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Same shape as the input."""
        hidden = functional.relu(self.first(functional.relu(features)))
        return features + self.second(self.dropout(hidden))
