"""A joint-embedding predictive world model: predicts embeddings instead of pixels.

The encoder's input is a short stack of images in the constant-velocity frame, with the road; the
predictor predicts the embedding of the stack that ends a step later.  The ego is not an input: it
is moved by the kinematics.  Embeddings are trained by a regulariser
(``ppuu.encoders.regularizers``), not by reconstruction.  For costs, a readout with a stopped
gradient decodes them to velocity maps that warp the last image forward.
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
from ..perception.flow import block_matching_flow
from ..perception.observation import Observation
from ..perception.raster_image import LANES, OFFROAD
from ..predictions import OccupancyPrediction, Target, TargetConfig
from ..runtime.errors import InputError
from .base import Ego, ModelConfig, WorldModel
from .forward_warp import MAPS, forward_warp, warp_road
from .latent import Latent, init_posterior

_PATCHES = (8, 3)
"""Rows and columns of a distractor pattern before interpolation."""
_SPEED_SCALE_MPS = 20.0
"""Scale of the speed input."""


@dataclass(frozen=True)
class JepaConfig(ModelConfig):
    """Parts of the joint-embedding model; a latent of 0 makes it deterministic.

    Attributes:
        jepa: encoder and predictor.
        regularizer: prevents collapse of the embeddings.
        readout: width of the readout's hidden layers.
        distraction: amplitude of a smooth distractor pattern, constant over each history and
            rollout and different between them, that is added to all of the encoder's inputs.
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
                f"readout {self.readout} of a joint-embedding model must be at least 1, "
                f"distraction {self.distraction} at least 0"
            )

    def build(self) -> JepaWorldModel:
        """A newly initialised model."""
        return JepaWorldModel(self)


@dataclass(frozen=True, eq=False)
class JepaScene:
    """A history in the constant-velocity frame; constant over a rollout.

    Attributes:
        history: the vehicle channel.
        road: lane lines and off-road area in the last image.
        speed_mps: of the frame.
        pattern: the distractor.
    """

    history: Float[Tensor, "batch frames rows columns"]
    road: Float[Tensor, "batch 2 rows columns"]
    speed_mps: Float[Tensor, " batch"]
    pattern: Float[Tensor, "batch 1 rows columns"]

    @property
    def encoder_input(self) -> Float[Tensor, "batch channels rows columns"]:
        """The encoder's input at the end of the history."""
        return torch.cat([self.history, self.road], dim=1) + self.pattern

    def begin(
        self, embedding: Float[Tensor, "batch features locations_x locations_y"]
    ) -> JepaState:
        """The initial state of a rollout, given the embedding of ``encoder_input``."""
        return JepaState(**vars(self), embedding=embedding, first=embedding, steps=0)


@dataclass(frozen=True, eq=False)
class JepaState(JepaScene):
    """The state of a rollout.

    Attributes:
        embedding: after the last step.
        first: embedding at the end of the history.
        steps: number of steps so far.
    """

    embedding: Float[Tensor, "batch features locations_x locations_y"]
    first: Float[Tensor, "batch features locations_x locations_y"]
    steps: int


class JepaWorldModel(WorldModel):
    """The joint-embedding model described above."""

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
        self.posterior_head = _PosteriorHead(features, grid, config.latent)
        self.readout = _Readout(features, grid, config.readout)

    def begin(self, observation: Observation) -> JepaState:
        """Aligns the history in the constant-velocity frame and encodes it."""
        scene = self.scene(observation)
        return scene.begin(self.jepa.encode(scene.encoder_input))

    def scene(self, observation: Observation) -> JepaScene:
        """The history in the constant-velocity frame."""
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
        """The distractor pattern, a deterministic function of the ego's position."""
        if not self.config.distraction:
            return torch.zeros_like(road[:, :1])
        patches = _PATCHES[0] * _PATCHES[1]
        number = torch.arange(1, patches + 1, device=road.device, dtype=road.dtype)
        # A hash: the fractional part of a high-frequency wave.
        wave = (ego[:, 0:1] * 12.9898 + ego[:, 1:2] * 78.233 + number * 37.719).sin() * 43758.5453
        coarse = wave.frac().abs().view(-1, 1, *_PATCHES)
        return self.config.distraction * functional.interpolate(
            coarse, road.shape[-2:], mode="bilinear"
        )

    def stacks(
        self, scene: JepaScene, vehicles: Float[Tensor, "batch time rows columns"]
    ) -> Float[Tensor, "batch time1 channels rows columns"]:
        """The encoder's inputs at the end of the history and at each step after it.

        The road is that of the last image, warped by the motion of the frame.

        Args:
            scene: the history.
            vehicles: the vehicle channel in the constant-velocity frame at each step.
        """
        frames = scene.history.shape[1]
        images = torch.cat([scene.history, vehicles], dim=1)
        windows = images.unfold(1, frames, 1).movedim(-1, 2)
        seconds = torch.arange(windows.shape[1], device=images.device) * self.step_s
        no_motion = torch.zeros_like(scene.road)[:, None].expand(-1, len(seconds), -1, -1, -1)
        road = warp_road(scene.road, no_motion, seconds, scene.speed_mps, self.raster)
        return torch.cat([windows, road], dim=2) + scene.pattern[:, None]

    def targets(
        self, scene: JepaScene, target: Target
    ) -> Float[Tensor, "batch time1 features locations_x locations_y"]:
        """Target embeddings at the end of the history and at each step after it."""
        assert target.images is not None
        return self.jepa.targets(self.stacks(scene, target.images.vehicles))

    def embedding(self, state: JepaState) -> Float[Tensor, "batch features"]:
        """The embedding, flattened."""
        return state.embedding.flatten(1)

    def advance(
        self, state: JepaState, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[JepaState, Ego]:
        """The embedding one step later; ``ego`` is ignored."""
        ahead = self.jepa.predict(state.embedding, self.condition(state, latent))
        return replace(state, embedding=ahead, steps=state.steps + 1), ego

    def condition(
        self, state: JepaState, latent: Float[Tensor, "batch latent"]
    ) -> Float[Tensor, "batch inputs"]:
        """The predictor's condition: the latent and the speed of the frame."""
        return torch.cat([latent, state.speed_mps[:, None] / _SPEED_SCALE_MPS], dim=1)

    def posterior(self, state: JepaState, target: Target, step: int) -> Latent:
        """From the embedding before the step and the target embedding after it."""
        assert target.images is not None
        stack = self.stacks(state, target.images.vehicles[:, : step + 1])[:, -1:]
        return self.posterior_head(state.embedding, self.jepa.targets(stack)[:, 0])

    def decode(
        self, states: list[JepaState], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """Warps the last image forward; all steps and samples in one batch."""
        first = states[0].first.repeat_interleave(len(states), 0)
        embedding = torch.stack([state.embedding for state in states], dim=1).flatten(0, 1)
        maps = self.readout(first, embedding)
        maps = maps.unflatten(0, (len(observation.ego), samples, len(states)))
        seconds = maps.new_tensor([state.steps for state in states]) * self.step_s
        # Block matching is only computed here, since embeddings alone do not need it.
        history = states[0].history[::samples]
        flow = block_matching_flow(history, self._seconds_ago(history), self.raster)
        return forward_warp(observation, flow, maps, seconds, self.raster)


class _PosteriorHead(nn.Module):
    """The posterior of a step's latent, given the embeddings before and after it."""

    def __init__(self, features: int, grid: tuple[int, int], latent: int):
        super().__init__()
        self.latent = latent
        if not latent:
            return
        self.layers = nn.Sequential(
            nn.Conv2d(2 * features, 32, 1), nn.ReLU(), nn.Flatten(),
            init_posterior(nn.Linear(32 * grid[0] * grid[1], 2 * latent)),
        )  # fmt: skip

    def forward(
        self,
        before: Float[Tensor, "batch features rows columns"],
        after: Float[Tensor, "batch features rows columns"],
    ) -> Latent:
        """A Gaussian; no gradient to the target, so that it is not made easy to infer."""
        if not self.latent:
            empty = before.new_zeros(len(before), 0)
            return Latent(empty, empty)
        return Latent.of(self.layers(torch.cat([before, after.detach()], dim=1)))


class _Readout(nn.Module):
    """From two embeddings to the maps of ``forward_warp``; initialised to constant velocity."""

    def __init__(self, features: int, grid: tuple[int, int], width: int):
        super().__init__()
        self._size = grid if grid != (1, 1) else (14, 6)
        locations = self._size[0] * self._size[1]
        self.expand: nn.Module = nn.Conv2d(2 * features, width, 1)
        if grid == (1, 1):
            self.expand = nn.Sequential(
                nn.Flatten(), nn.Linear(2 * features, width * locations),
                nn.Unflatten(1, (width, *self._size)),
            )  # fmt: skip
        self.middle = nn.Conv2d(width, width, 3, 1, 1)
        self.last = nn.Conv2d(width, 2 * MAPS, 3, 1, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(
        self,
        first: Float[Tensor, "batch features rows columns"],
        later: Float[Tensor, "batch features rows columns"],
    ) -> Float[Tensor, "batch maps rows2 columns2"]:
        """Two columns of maps for each column of locations."""
        hidden = functional.relu(self.expand(torch.cat([first, later], dim=1)))
        maps = self.last(functional.relu(self.middle(hidden)))
        return maps.unflatten(1, (MAPS, 2)).movedim(2, -1).flatten(-2)
