"""A world model without pixels: embeddings of the surroundings predict embeddings.

What is encoded is a short stack of images in the gliding frame, with the road; what is predicted is
the embedding of the stack that ends a step later.  The ego is no part of it: its motion is
kinematics.  Embeddings learn from a regulariser (``ppuu.encoders.regularizers``), never from
images.  A readout that is trained beside them, and whose gradient ends at the embeddings, turns
them into maps of velocities that carry the last image along, so that costs can be computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..encoders import JepaNetwork, JepaNetworkConfig
from ..encoders.regularizers import (
    InverseMotion,
    PixelDecoder,
    ReconstructionConfig,
    RegularizerConfig,
    UntrainedConfig,
    VicRegConfig,
)
from ..perception.constant_velocity_frame import aligned_vehicles
from ..perception.flow import seen_velocity
from ..perception.observation import Observation
from ..perception.raster_image import LANES, OFFROAD
from ..predictions import OccupancyPrediction, Target, TargetConfig
from ..runtime.errors import InputError
from .base import Ego, ModelConfig, WorldModel
from .carry import MAPS, carried_road, carry
from .latent import Latent, posterior_head

_PATCHES = (8, 3)
"""Of a distracting pattern."""
_SPEED_MPS = 20.0
"""Unit of the gliding frame's speed."""


@dataclass(frozen=True)
class JepaConfig(ModelConfig):
    """Parts of the joint-embedding model; a latent of 0 makes it deterministic.

    Attributes:
        jepa: encoder and predictor.
        regularizer: what the embeddings learn from.
        readout: width of the maps between embeddings and velocities.
        distraction: strength of a smooth pattern, another one for each history, that lies over all
            images the encoder is shown of it: what fixed noise is to moving dots.
    """

    latent: int = 8
    jepa: JepaNetworkConfig = field(default_factory=JepaNetworkConfig)
    regularizer: RegularizerConfig = field(default_factory=VicRegConfig)
    readout: int = 32
    distraction: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if self.readout < 1 or self.distraction < 0:
            raise InputError(
                f"a joint-embedding model's readout {self.readout} must be positive, distraction "
                f"{self.distraction} not negative"
            )

    def build(self) -> JepaWorldModel:
        """A freshly initialised model."""
        return JepaWorldModel(self)


@dataclass(frozen=True, eq=False)
class JepaScene:
    """What is seen of a history, and stays fixed over a rollout.

    Attributes:
        history: vehicles in the gliding frame.
        road: lane lines and off-road area, as seen last.
        speed_mps: of the gliding frame.
        pattern: what lies over everything.
    """

    history: Float[Tensor, "batch frames rows columns"]
    road: Float[Tensor, "batch 2 rows columns"]
    speed_mps: Float[Tensor, " batch"]
    pattern: Float[Tensor, "batch 1 rows columns"]

    @property
    def shown(self) -> Float[Tensor, "batch channels rows columns"]:
        """What the encoder is shown of the present."""
        return torch.cat([self.history, self.road], dim=1) + self.pattern

    def begin(self, embedding: Float[Tensor, "batch features places_x places_y"]) -> JepaState:
        """The state of a rollout that begins with this embedding of the present."""
        return JepaState(**vars(self), embedding=embedding, first=embedding, steps=0)


@dataclass(frozen=True, eq=False)
class JepaState(JepaScene):
    """A scene's embedding on its way.

    Attributes:
        embedding: of now.
        first: of the present.
        steps: from the present to now.
    """

    embedding: Float[Tensor, "batch features places_x places_y"]
    first: Float[Tensor, "batch features places_x places_y"]
    steps: int


class JepaWorldModel(WorldModel):
    """See the module's text."""

    def __init__(self, config: JepaConfig):
        super().__init__()
        self.config = config
        raster = config.observation.raster
        channels = config.observation.frames + 2
        self.jepa = JepaNetwork(
            config.jepa, channels, raster.rows, raster.columns, config.latent + 1
        )
        features, grid = self.jepa.features, self.jepa.grid
        self.spec = config.spec(
            embedding=features * grid[0] * grid[1], target=TargetConfig(images=True, flow=True)
        )
        self.regularizer = config.regularizer.build(self.jepa.projected_features, grid[0] * grid[1])
        self.pixel_decoder = None
        if isinstance(config.regularizer, ReconstructionConfig):
            self.pixel_decoder = PixelDecoder(
                features, grid, channels, raster.rows, raster.columns, config.readout
            )
        if isinstance(config.regularizer, UntrainedConfig):
            self.jepa.requires_grad_(False)
        self.inverse_motion = InverseMotion(features, grid)
        self.explain = _Explain(features, grid, config.latent)
        self.readout = _Readout(features, grid, config.readout)

    def begin(self, observation: Observation) -> JepaState:
        """Aligns the history in the gliding frame and encodes it."""
        scene = self.scene(observation)
        return scene.begin(self.jepa.encode(scene.shown))

    def scene(self, observation: Observation) -> JepaScene:
        """The history in the gliding frame."""
        seconds_ago = self._seconds_ago(observation.ego)
        history = aligned_vehicles(observation, seconds_ago, self.raster)
        road = observation.images[:, -1, [LANES, OFFROAD]]
        ego = observation.ego[:, -1]
        return JepaScene(history, road, ego[:, 3], self._pattern(road, ego))

    def _seconds_ago(self, like: Tensor) -> Float[Tensor, " frames"]:
        return self.config.observation.lags(like.device) * self.config.dt_s

    def _pattern(
        self, road: Float[Tensor, "batch 2 rows columns"], ego: Float[Tensor, "batch 4"]
    ) -> Float[Tensor, "batch 1 rows columns"]:
        """Another one for each place that the ego can be at, and always the same there."""
        if not self.config.distraction:
            return torch.zeros_like(road[:, :1])
        patches = _PATCHES[0] * _PATCHES[1]
        number = torch.arange(1, patches + 1, device=road.device, dtype=road.dtype)
        # The digits behind the point of a fast wave: as good as chance, but a function.
        wave = (ego[:, 0:1] * 12.9898 + ego[:, 1:2] * 78.233 + number * 37.719).sin() * 43758.5453
        coarse = wave.frac().abs().view(-1, 1, *_PATCHES)
        return self.config.distraction * functional.interpolate(
            coarse, road.shape[-2:], mode="bilinear"
        )

    def stacks(
        self, scene: JepaScene, vehicles: Float[Tensor, "batch time rows columns"]
    ) -> Float[Tensor, "batch time1 channels rows columns"]:
        """What the encoder is shown at the present and at each time after it.

        The road is the last one seen, slid along: it does not move but for the gliding frame.

        Args:
            scene: the present.
            vehicles: as seen from the gliding frame, step after step from the present.
        """
        frames = scene.history.shape[1]
        film = torch.cat([scene.history, vehicles], dim=1)
        windows = film.unfold(1, frames, 1).movedim(-1, 2)
        seconds = torch.arange(windows.shape[1], device=film.device) * self.step_s
        still = torch.zeros_like(scene.road)[:, None].expand(-1, len(seconds), -1, -1, -1)
        road = carried_road(scene.road, still, seconds, scene.speed_mps, self.raster)
        return torch.cat([windows, road], dim=2) + scene.pattern[:, None]

    def targets(
        self, scene: JepaScene, target: Target
    ) -> Float[Tensor, "batch time1 features places_x places_y"]:
        """Embeddings of the present and of what followed."""
        assert target.images is not None
        return self.jepa.targets(self.stacks(scene, target.images.vehicles))

    def embedding(self, state: JepaState) -> Float[Tensor, "batch features"]:
        """All places side by side."""
        return state.embedding.flatten(1)

    def advance(
        self, state: JepaState, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[JepaState, Ego]:
        """The embedding one step later; the ego plays no part."""
        ahead = self.jepa.predict(state.embedding, self.told(state, latent))
        return replace(state, embedding=ahead, steps=state.steps + 1), ego

    def told(
        self, state: JepaState, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch inputs"]:
        """What the predictor is told: the latent, and how fast the road slides by."""
        return torch.cat([latent, state.speed_mps[:, None] / _SPEED_MPS], dim=1)

    def posterior(self, state: JepaState, target: Target, step: int) -> Latent:
        """From the embedding before the step and the target of what followed."""
        assert target.images is not None
        then = self.stacks(state, target.images.vehicles[:, : step + 1])[:, -1:]
        return self.explain(state.embedding, self.jepa.targets(then)[:, 0])

    def decode(
        self, states: list[JepaState], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """Carries the last image along; all steps and samples in one batch."""
        first = states[0].first.repeat_interleave(len(states), 0)
        ahead = torch.stack([state.embedding for state in states], dim=1).flatten(0, 1)
        maps = self.readout(first, ahead)
        maps = maps.unflatten(0, (len(observation.ego), samples, len(states)))
        seconds = maps.new_tensor([state.steps for state in states]) * self.step_s
        # Only who wants pictures pays for the matching of images; embeddings do without.
        history = states[0].history[::samples]
        seen = seen_velocity(history, self._seconds_ago(history), self.raster)
        return carry(observation, seen, maps, seconds, self.raster)


class _Explain(nn.Module):
    """The latent of a step, from embeddings before and after it."""

    def __init__(self, features: int, grid: tuple[int, int], latent: int):
        super().__init__()
        self.latent = latent
        if not latent:
            return
        self.layers = nn.Sequential(
            nn.Conv2d(2 * features, 32, 1), nn.ReLU(), nn.Flatten(),
            posterior_head(nn.Linear(32 * grid[0] * grid[1], 2 * latent)),
        )  # fmt: skip

    def forward(
        self,
        before: Float[Tensor, "batch features rows columns"],
        after: Float[Tensor, "batch features rows columns"],
    ) -> Latent:
        """A Gaussian; the encoder shall not be bent to make its own targets easy to tell."""
        if not self.latent:
            nothing = before.new_zeros(len(before), 0)
            return Latent(nothing, nothing)
        return Latent.of(self.layers(torch.cat([before, after.detach()], dim=1)))


class _Readout(nn.Module):
    """From two embeddings to the maps of ``carry``; all 0 at first, which is constant velocity."""

    def __init__(self, features: int, grid: tuple[int, int], width: int):
        super().__init__()
        self._start = grid if grid != (1, 1) else (14, 6)
        places = self._start[0] * self._start[1]
        self.spread: nn.Module = nn.Conv2d(2 * features, width, 1)
        if grid == (1, 1):
            self.spread = nn.Sequential(
                nn.Flatten(), nn.Linear(2 * features, width * places),
                nn.Unflatten(1, (width, *self._start)),
            )  # fmt: skip
        self.middle = nn.Conv2d(width, width, 3, 1, 1)
        self.last = nn.Conv2d(width, 2 * MAPS, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(
        self,
        first: Float[Tensor, "batch features rows columns"],
        ahead: Float[Tensor, "batch features rows columns"],
    ) -> Float[Tensor, "batch maps rows2 columns2"]:
        """Two columns of maps for each column of places."""
        hidden = functional.relu(self.spread(torch.cat([first, ahead], dim=1)))
        maps = self.last(functional.relu(self.middle(hidden)))
        return maps.unflatten(1, (MAPS, 2)).movedim(2, -1).flatten(-2)
