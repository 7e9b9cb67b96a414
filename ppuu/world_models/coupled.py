"""PPUU's forward model: an autoregressive model of images, conditioned on the ego's actions.

Henaff, Canziani, LeCun (ICLR 2019), appendix A: the stacked images and states of the history are
encoded to features; embeddings of the action and of a latent are added, a bottleneck mixes distant
positions, and a decoder predicts the next image, centred on the ego's next pose, as a change of the
last one.  The predicted image is appended to the history.

The network predicts the ego's motion as well (``ego='model'``), or the kinematics alone move it, as
in "Separating the World and Ego Models" (2204.07184): CFM-KM, ``ego='kinematic'``.  With
``action='state'`` the network is conditioned on the ego's kinematic next state instead of the
action (action-free).

Unlike PPUU, ego states are relative to the current pose, actions are those that lead to the next
frame, and the ego head predicts the deviation from constant velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..geometry import to_local, to_world
from ..kinematics import action_between
from ..perception.constant_velocity_frame import LaneSpeedEstimate
from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..perception.raster_image import CHANNELS, LANES, OFFROAD, VEHICLES
from ..predictions import OccupancyPrediction, Target, TargetConfig, UniformMotion
from ..runtime.errors import InputError
from ..runtime.pytree import repeat
from .base import DropoutConfig, Ego, WorldModel
from .convolutions import Conv2d
from .latent import Latent
from .layers import Bottleneck, ImageDecoder, StateHead, feature_size, image_encoder, mlp

_LOGIT_EPS = 1 / 255
"""Coverage is clamped to this distance from 0 and 1 before its logit is taken."""
_SCALE_MPS2 = 1.0
_SCALE_RADPS = 0.05
"""Typical acceleration and yaw rate of drivers, which scale the ego's motion."""


@dataclass(frozen=True)
class CoupledConfig(DropoutConfig):
    """Size and kind of the coupled model (PPUU: 20 frames of stride 1, one frame per step).

    A latent of 0 makes it deterministic.

    Attributes:
        features: feature maps at 1/8 of the resolution, and width of all linear layers (PPUU:
            256); a half and a quarter of it at 1/4 and 1/2.
        ego: whether the model moves the ego, as in PPUU, or the kinematics.
        action: condition of the model: the action, or the ego's next state.
        residual: how the last image is added before the sigmoid: as logits, so that an untrained
            model repeats it, or as values, as in PPUU, which does not.
    """

    observation: ObservationConfig = field(default_factory=lambda: ObservationConfig(6, 3))
    features: int = 64
    ego: Literal["model", "kinematic"] = "model"
    action: Literal["action", "state"] = "action"
    residual: Literal["logits", "values"] = "logits"

    def __post_init__(self):
        super().__post_init__()
        if self.features < 4 or self.features % 4:
            raise InputError(f"features {self.features} must be a positive multiple of 4")

    def build(self) -> CoupledWorldModel:
        """A newly initialised model."""
        return CoupledWorldModel(self)


PAPER = CoupledConfig(
    ObservationConfig(20, 1), frames_per_step=1, features=256, latent=32, residual="values"
)
"""The published size."""


@dataclass(frozen=True, eq=False)
class _RecordedImages:
    """Images of histories, each shared by consecutive elements of the batch.

    Attributes:
        images: stacked, three channels each, oldest first, in the precision of the network.
        copies: number of elements that share one history.
    """

    images: Float[Tensor, "clips stacked rows columns"]
    copies: int = 1

    def repeat(self, copies: int) -> _RecordedImages:
        """Every element of the batch ``copies`` times in a row."""
        return _RecordedImages(self.images, self.copies * copies)


@dataclass(frozen=True, eq=False)
class _State:
    """A sliding window of recorded and predicted images.

    Attributes:
        recorded: images of the history.
        predicted: images after it, at most as many as the history has, oldest first, in the
            same precision.
        image: the last image.
        ego: states at the times of the window.
        features: encoding of the window, once ``prepared``.
    """

    recorded: _RecordedImages
    predicted: tuple[Float[Tensor, "batch 3 rows columns"], ...]
    image: Float[Tensor, "batch 3 rows columns"]
    ego: Float[Tensor, "batch frames 4"]
    features: Float[Tensor, "batch features rows8 columns8"] | None = None


class CoupledWorldModel(WorldModel):
    """The coupled model.  At PPUU's size 15.6 million parameters, 11.8 if deterministic."""

    normalizer: Normalizer

    def __init__(self, config: CoupledConfig):
        super().__init__()
        self.config = config
        self.spec = config.spec(
            conditioned_on_ego=True, moves_ego=config.ego == "model",
            target=TargetConfig(images=True, road_at_every_step=True),
        )  # fmt: skip
        frames, width, dropout = config.observation.frames, config.features, config.dropout
        self._size = feature_size(self.raster)
        everything = width * self._size[0] * self._size[1]
        self.normalizer = Normalizer(frames * 4 + 2)
        self.image_encoder = image_encoder(frames * CHANNELS, width, dropout)
        self.ego_encoder = mlp((frames * 4, width, width, everything), dropout)
        inputs = 2 if config.action == "action" else 5
        self.action_encoder = mlp((inputs, width, width, everything), dropout)
        self.bottleneck = Bottleneck(width, dropout, self._size)
        self.image_decoder = ImageDecoder(width, dropout, self.raster)
        if self.spec.moves_ego:
            self.ego_head = StateHead(width, dropout, self._size, 4)
        if config.latent:
            self.latent_proj = nn.Linear(config.latent, everything)
            self.posterior_encoder = image_encoder(CHANNELS, width, dropout)
            self.posterior_head = mlp((everything, width, width, 2 * config.latent), dropout)

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Every image is centred on the ego's pose."""
        return ego[..., :3]

    def begin(self, observation: Observation) -> _State:
        """The history and its features, computed once for all copies."""
        recorded = observation.images.flatten(1, 2)
        if torch.is_autocast_enabled(recorded.device.type):
            # Cast once instead of at each step.
            recorded = recorded.to(torch.get_autocast_dtype(recorded.device.type))
        # Convolutions on a CPU are a third faster in channels last.
        recorded = _RecordedImages(recorded.contiguous(memory_format=torch.channels_last))
        return self.prepared(_State(recorded, (), observation.images[:, -1], observation.ego))

    def prepared(self, state: _State) -> _State:
        """With features of images and of ego states relative to the current pose."""
        if state.features is not None:
            return state
        path = to_local(state.ego, state.ego[:, -1:]).flatten(1)
        features = self._encode_images(state.recorded, state.predicted)
        features = features + self._as_maps(self.ego_encoder, self.normalizer.path(path))
        return replace(state, features=features)

    def _encode_images(
        self,
        recorded: _RecordedImages,
        predicted: tuple[Float[Tensor, "batch 3 rows columns"], ...],
    ) -> Float[Tensor, "batch features rows8 columns8"]:
        """Features of the images.

        The first layer is a sum over images: the term of recorded ones is the same for all copies
        of a history and needs no gradient.  (So the encoder is never called as a whole, and
        ``--loop.compile`` does not compile it.)
        """
        first, *others = self.image_encoder
        assert isinstance(first, Conv2d)
        frames = self.config.observation.frames
        channels = CHANNELS * (frames - len(predicted))
        parts = []
        if channels:
            part = first.partial(recorded.images[:, -channels:], slice(channels))
            parts.append(repeat(part, recorded.copies))
        if predicted:
            parts.append(first.partial(torch.cat(predicted, dim=1), slice(channels, None)))
        features = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if first.bias is not None:
            features = features + first.bias.to(features.dtype)[:, None, None]
        for layer in others:
            features = layer(features)
        return features

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Predicts the next image.

        If the model moves the ego, gradients reach actions through the network.  If the kinematics
        do, gradients go through the masks of costs (``decode``) and the network's condition is
        detached, since both paths together would count a displacement twice.
        """
        assert ego is not None, "a coupled model needs the ego's next state"
        network_ego = ego if self.spec.moves_ego else ego.detach()
        current = state.ego[:, -1]
        condition = self.action_features(current, network_ego)
        features = self._features(state) + self._as_maps(self.action_encoder, condition)
        if self.config.latent:
            features = features + self._as_maps(self.latent_proj, latent)
        features = features + self.bottleneck(features)
        change = self.image_decoder(features)
        if self.config.residual == "logits":
            image = torch.sigmoid(change + torch.logit(state.image, eps=_LOGIT_EPS))
            # Without a change, empty pixels stay exactly empty: a box covers so many pixels that
            # the lowest coverage under it would cost as much as a contact.
            image = (image - _LOGIT_EPS) / (1.0 - 2.0 * _LOGIT_EPS)
            # A straight-through gradient: pixels at 0 must be able to increase.
            image = image + (image.clamp(0.0, 1.0) - image).detach()
        else:
            image = torch.sigmoid(change + state.image)
        if self.spec.moves_ego:
            ego = network_ego = self.next_ego(current, self.ego_head(features))
        frames = self.config.observation.frames
        predicted = (*state.predicted, image.to(state.recorded.images.dtype))[-frames:]
        path = torch.cat([state.ego[:, 1:], network_ego[:, None]], dim=1)
        return _State(state.recorded, predicted, image, path), ego

    def _features(self, state: _State) -> Float[Tensor, "batch features rows8 columns8"]:
        features = self.prepared(state).features
        assert features is not None
        return features

    def _as_maps(self, layer: nn.Module, values: Float[Tensor, "batch numbers"]) -> Tensor:
        return layer(values).unflatten(1, (-1, *self._size))

    def action_features(
        self, current: Float[Tensor, "batch 4"], following: Float[Tensor, "batch 4"]
    ) -> Float[Tensor, "batch features"]:
        """The network's condition: the ego's action, or its next state, standardized."""
        if self.config.action == "action":
            return self.normalizer.action(action_between(current, following, self.step_s))
        ahead, left, turn, speed = to_local(following, current).unbind(-1)
        expected, speed_change = current[:, 3] * self.step_s, speed - current[:, 3]
        metres, radians, mps = self._units
        return torch.stack(
            [
                (ahead - expected) / metres,
                left / metres,
                torch.sin(turn) / radians,
                torch.cos(turn),
                speed_change / mps,
            ],
            dim=-1,
        )

    @property
    def _units(self) -> tuple[float, float, float]:
        """Typical deviations of a step from constant velocity: metres, radians and m/s."""
        step = self.step_s
        return 0.5 * _SCALE_MPS2 * step**2, _SCALE_RADPS * step, _SCALE_MPS2 * step

    def next_ego(
        self, current: Float[Tensor, "batch 4"], change: Float[Tensor, "batch 4"]
    ) -> Float[Tensor, "batch 4"]:
        """The ego's next state, given its standardized deviation from constant velocity."""
        metres, radians, mps = self._units
        deviation = change * change.new_tensor([metres, metres, radians, mps])
        ahead, left, turn, speed_change = deviation.unbind(-1)
        speed = current[:, 3]
        local = [ahead + speed * self.step_s, left, turn, (speed + speed_change).clamp(min=0.0)]
        return to_world(torch.stack(local, dim=-1), current)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the features before the step and the image after it."""
        mask = torch.ones(len(state.ego), dtype=torch.bool, device=state.ego.device)
        return self.masked_posterior(mask, state, target, step)

    def masked_posterior(
        self, mask: Bool[Tensor, " batch"], state: _State, target: Target, step: int
    ) -> Latent:
        """The standard normal where the mask is not set."""
        if not self.config.latent:
            return Latent.standard(state.ego.new_zeros(len(mask), 0))
        true, rows = target.images, mask.nonzero()[:, 0]
        assert true is not None
        lanes, offroad = true.road[rows, step].unbind(1)
        image = torch.stack([lanes, true.vehicles[rows, step], offroad], dim=1)
        features = self._features(state)[rows] + self.posterior_encoder(image)
        some = self.posterior_head(features.flatten(1))
        return Latent.of(some.new_zeros(len(mask), some.shape[1]).index_copy(0, rows, some))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """The last image of each state, centred on the ego; poses are those of the first sample.

        If the network moves the ego, its pose differs slightly between samples; masks have the same
        position in each sample's image, so each sample keeps its own surroundings.

        If the kinematics move the ego, the image's pose is detached, so that the gradient of costs
        with respect to the ego's pose goes through the masks' position.
        """
        images = torch.stack([state.image for state in states], dim=1)
        images = images.unflatten(0, (len(observation.ego), -1, samples))
        pose = torch.stack([state.ego[::samples, -1, :3] for state in states], dim=1)
        pose = pose.unflatten(0, (len(observation.ego), -1))
        return OccupancyPrediction(
            pose if self.spec.moves_ego else pose.detach(),
            self.raster,
            images[:, :, :, :, VEHICLES],
            images[:, :, :, :, [LANES, OFFROAD]],
            UniformMotion(LaneSpeedEstimate(observation, self.observation, self.dt_s)),
        )
