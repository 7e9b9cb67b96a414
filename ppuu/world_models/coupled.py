"""PPUU's forward model: images that follow the ego's actions, painted frame after frame.

Henaff, Canziani, LeCun (ICLR 2019), appendix A: images and states of the past, stacked, are encoded
to features; an embedding of the action and one of a latent are added, a bottleneck mixes what is
far apart, and a decoder paints the next image onto the last one, from where the ego then is.  The
predicted images take their place in the history, and so on.

The ego is moved by the network as well (``ego='model'``), or by the kinematics alone, as in
"Separating the World and Ego Models" (2204.07184): CFM-KM, ``ego='kinematic'``.  With
``action='state'`` the network is not told the action but the ego's next state, kinematically
predicted (action-free).

Other than in PPUU, ego states are seen from the present pose, actions are those that lead to the
next frame, and what the head predicts is the deviation from driving on at the present velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..geometry import to_local, to_world
from ..kinematics import action_between
from ..perception.constant_velocity_frame import SeenLaneSpeed
from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..perception.raster_image import CHANNELS, LANES, OFFROAD, VEHICLES
from ..predictions import OccupancyPrediction, Target, TargetConfig, UniformMotion
from ..runtime.errors import InputError
from ..runtime.pytree import repeat
from .base import DropoutConfig, Ego, WorldModel
from .convolutions import Conv2d
from .latent import Latent
from .layers import Bottleneck, ImageDecoder, StateHead, feature_maps, image_encoder, perceptron

_FAINTEST = 1 / 255
"""Coverage is remembered from image to image no closer to 0 or 1 than this."""
_CHANGE_MPS2 = 1.0
_TURN_RADPS = 0.05
"""What drivers do, in order of magnitude: it scales the ego's motion, told or predicted."""


@dataclass(frozen=True)
class CoupledConfig(DropoutConfig):
    """Size and kind of the coupled model (PPUU: 20 frames of stride 1, one frame a step).

    A latent of 0 makes it deterministic.

    Attributes:
        features: maps at 1/8 of the resolution, and width of all linear layers (PPUU: 256); a
            half and a quarter of it at 1/4 and 1/2.
        ego: who moves the ego: the model, as in PPUU, or the kinematics.
        action: what the model is told: the action, or the ego's next state.
        repeats: how the last image enters the next one before the sigmoid: as logits, so that an
            untrained model repeats it, or by value, as in PPUU, which has to learn that.
    """

    observation: ObservationConfig = field(default_factory=lambda: ObservationConfig(6, 3))
    features: int = 64
    ego: Literal["model", "kinematic"] = "model"
    action: Literal["action", "state"] = "action"
    repeats: Literal["logits", "values"] = "logits"

    def __post_init__(self):
        super().__post_init__()
        if self.features < 4 or self.features % 4:
            raise InputError(f"features {self.features} must be a multiple of 4")

    def build(self) -> CoupledWorldModel:
        """A freshly initialised model."""
        return CoupledWorldModel(self)


PAPER = CoupledConfig(
    ObservationConfig(20, 1), frames_per_step=1, features=256, latent=32, repeats="values"
)
"""The published size."""


@dataclass(frozen=True, eq=False)
class _Recorded:
    """Recorded frames, shared by several elements of a batch in a row.

    Attributes:
        images: three channels each, oldest first, in the precision of the network.
        copies: how many elements share one history.
    """

    images: Float[Tensor, "clips stacked rows columns"]
    copies: int = 1

    def repeat(self, copies: int) -> _Recorded:
        """Every element so many times in a row."""
        return _Recorded(self.images, self.copies * copies)


@dataclass(frozen=True, eq=False)
class _State:
    """A history that grows at its end as it is predicted.

    Attributes:
        recorded: what was seen.
        painted: images predicted since, as many as the history has, oldest first, in the same
            precision.
        image: the last of all.
        ego: states at the last so many times.
        features: of this history, once it is ``prepared``.
    """

    recorded: _Recorded
    painted: tuple[Float[Tensor, "batch 3 rows columns"], ...]
    image: Float[Tensor, "batch 3 rows columns"]
    ego: Float[Tensor, "batch frames 4"]
    features: Float[Tensor, "batch features rows8 columns8"] | None = None


class CoupledWorldModel(WorldModel):
    """See the module's text.  At PPUU's size 15.6 million parameters, 11.8 if deterministic."""

    normalizer: Normalizer

    def __init__(self, config: CoupledConfig):
        super().__init__()
        self.config = config
        self.spec = config.spec(
            conditioned_on_ego=True, moves_ego=config.ego == "model",
            target=TargetConfig(images=True, road_at_every_step=True),
        )  # fmt: skip
        frames, width, dropout = config.observation.frames, config.features, config.dropout
        self._size = feature_maps(self.raster)
        everything = width * self._size[0] * self._size[1]
        self.normalizer = Normalizer(frames * 4 + 2)
        self.see = image_encoder(frames * CHANNELS, width, dropout)
        self.past = perceptron((frames * 4, width, width, everything), dropout)
        told = 2 if config.action == "action" else 5
        self.drive = perceptron((told, width, width, everything), dropout)
        self.mix = Bottleneck(width, dropout, self._size)
        self.paint = ImageDecoder(width, dropout, self.raster)
        if self.spec.moves_ego:
            self.move = StateHead(width, dropout, self._size, 4)
        if config.latent:
            self.latent_in = nn.Linear(config.latent, everything)
            self.witness = image_encoder(CHANNELS, width, dropout)
            self.explain = perceptron((everything, width, width, 2 * config.latent), dropout)

    def image_poses(
        self, observation: Observation, ego: Float[Tensor, "batch time 4"]
    ) -> Float[Tensor, "batch time 3"]:
        """Every image is drawn from where the ego then is."""
        return ego[..., :3]

    def begin(self, observation: Observation) -> _State:
        """The history as it is, and its features, once for all copies."""
        recorded = observation.images.flatten(1, 2)
        if torch.is_autocast_enabled(recorded.device.type):
            # Once and for all, instead of the whole stack at each step.
            recorded = recorded.to(torch.get_autocast_dtype(recorded.device.type))
        # Channels last: convolutions on a CPU are a third faster than with one image a channel.
        recorded = _Recorded(recorded.contiguous(memory_format=torch.channels_last))
        return self.prepared(_State(recorded, (), observation.images[:, -1], observation.ego))

    def prepared(self, state: _State) -> _State:
        """With features of images and ego states, seen from the present pose."""
        if state.features is not None:
            return state
        path = to_local(state.ego, state.ego[:, -1:]).flatten(1)
        features = self._seen(state.recorded, state.painted)
        features = features + self._embedded(self.past, self.normalizer.path(path))
        return replace(state, features=features)

    def _seen(
        self, recorded: _Recorded, painted: tuple[Float[Tensor, "batch 3 rows columns"], ...]
    ) -> Float[Tensor, "batch features rows8 columns8"]:
        """Of the images alone.

        The first layer adds up over images: its share of recorded ones is the same for all copies
        of a history, and no gradient is asked for towards them.  (So the encoder is never called as
        a whole, and ``--loop.compile`` leaves it out.)
        """
        first, *others = self.see
        assert isinstance(first, Conv2d)
        frames = self.config.observation.frames
        left = CHANNELS * (frames - len(painted))
        parts = []
        if left:
            part = first.of(recorded.images[:, -left:], slice(left))
            parts.append(repeat(part, recorded.copies))
        if painted:
            parts.append(first.of(torch.cat(painted, dim=1), slice(left, None)))
        features = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if first.bias is not None:
            features = features + first.bias.to(features.dtype)[:, None, None]
        for layer in others:
            features = layer(features)
        return features

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Paints the next image.

        Where the model moves the ego, gradients reach actions through the network.  Where the
        kinematics do, they go through the masks that costs lay over the image (``decode``), and it
        is told of the ego as of a constant: both ways together would count a metre twice.
        """
        assert ego is not None, "a coupled model has to be told where the ego goes"
        network_ego = ego if self.spec.moves_ego else ego.detach()
        present = state.ego[:, -1]
        features = self._known(state) + self._embedded(self.drive, self.told(present, network_ego))
        if self.config.latent:
            features = features + self._embedded(self.latent_in, latent)
        features = features + self.mix(features)
        painted = self.paint(features)
        if self.config.repeats == "logits":
            image = torch.sigmoid(painted + torch.logit(state.image, eps=_FAINTEST))
            # Where nothing is painted, an empty road stays empty instead of faint: a box is so
            # many pixels that the faintest traffic under it would cost as much as a touch.
            image = (image - _FAINTEST) / (1.0 - 2.0 * _FAINTEST)
            # The gradient passes the clamp: what is not seen yet must be able to appear.
            image = image + (image.clamp(0.0, 1.0) - image).detach()
        else:
            image = torch.sigmoid(painted + state.image)
        if self.spec.moves_ego:
            ego = network_ego = self.moved(present, self.move(features))
        kept = self.config.observation.frames
        painted = (*state.painted, image.to(state.recorded.images.dtype))[-kept:]
        path = torch.cat([state.ego[:, 1:], network_ego[:, None]], dim=1)
        return _State(state.recorded, painted, image, path), ego

    def _known(self, state: _State) -> Float[Tensor, "batch features rows8 columns8"]:
        features = self.prepared(state).features
        assert features is not None
        return features

    def _embedded(self, layer: nn.Module, values: Float[Tensor, "batch numbers"]) -> Tensor:
        return layer(values).unflatten(1, (-1, *self._size))

    def told(
        self, present: Float[Tensor, "batch 4"], then: Float[Tensor, "batch 4"]
    ) -> Float[Tensor, "batch told"]:
        """What the network is told about the ego's next step."""
        if self.config.action == "action":
            return self.normalizer.action(action_between(present, then, self.step_s))
        ahead, left, turn, speed = to_local(then, present).unbind(-1)
        glided, gained = present[:, 3] * self.step_s, speed - present[:, 3]
        metres, radians, mps = self._units
        return torch.stack(
            [
                (ahead - glided) / metres,
                left / metres,
                torch.sin(turn) / radians,
                torch.cos(turn),
                gained / mps,
            ],
            dim=-1,
        )

    @property
    def _units(self) -> tuple[float, float, float]:
        """Metres, radians and metres a second by which a step usually deviates from gliding."""
        step = self.step_s
        return 0.5 * _CHANGE_MPS2 * step**2, _TURN_RADPS * step, _CHANGE_MPS2 * step

    def moved(
        self, present: Float[Tensor, "batch 4"], change: Float[Tensor, "batch 4"]
    ) -> Float[Tensor, "batch 4"]:
        """The ego a step later, given by how many units it deviates from gliding."""
        metres, radians, mps = self._units
        ahead, left, turn, gained = (change * change.new_tensor([metres, metres, radians, mps])
                                     ).unbind(-1)  # fmt: skip
        speed = present[:, 3]
        after = [ahead + speed * self.step_s, left, turn, (speed + gained).clamp(min=0.0)]
        return to_world(torch.stack(after, dim=-1), present)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From the features before the step and the image after it."""
        asked = torch.ones(len(state.ego), dtype=torch.bool, device=state.ego.device)
        return self.posterior_where(asked, state, target, step)

    def posterior_where(
        self, asked: Bool[Tensor, " batch"], state: _State, target: Target, step: int
    ) -> Latent:
        """Standard normal where nobody asks."""
        if not self.config.latent:
            return Latent.standard(state.ego.new_zeros(len(asked), 0))
        true, rows = target.images, asked.nonzero()[:, 0]
        assert true is not None
        lanes, offroad = true.road[rows, step].unbind(1)
        seen = self.witness(torch.stack([lanes, true.vehicles[rows, step], offroad], dim=1))
        told = self.explain((self._known(state)[rows] + seen).flatten(1))
        return Latent.of(told.new_zeros(len(asked), told.shape[1]).index_copy(0, rows, told))

    def decode(
        self, states: list[_State], observation: Observation, samples: int
    ) -> OccupancyPrediction:
        """The last image of each state, as seen from its own ego; the view's pose is the first's.

        Where the network moves the ego, samples differ a little in where it is; masks are laid on
        all of them as on the first, so each meets its own surroundings.

        Where the kinematics move the ego, masks are shifted against the image: the gradient goes
        from the ego's pose to them, the image's own pose is a constant.
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
            UniformMotion(SeenLaneSpeed(observation, self.observation, self.dt_s)),
        )
