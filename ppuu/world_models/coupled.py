"""PPUU's forward model: images that follow the ego's actions, painted frame after frame.

Henaff, Canziani, LeCun (ICLR 2019), appendix A: images and states of the past, stacked, are encoded
to features; an embedding of the action and one of a latent are added, a bottleneck mixes what is
far apart, and a decoder paints the next image onto the last one, from where the ego then is.  The
images foreseen take their place in the history, and so on.

The ego is moved by the network as well (``ego='model'``), or by the kinematics alone, as in
"Separating the World and Ego Models" (2204.07184): CFM-KM, ``ego='kinematic'``.  With
``action='state'`` the network is not told the action but the ego's next state, kinematically
predicted (action-free).

Other than in PPUU, ego states are seen from the present pose, actions are those that lead to the
next frame, and what the head predicts is the deviation from driving on at the present velocity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import InputError
from ..geometry import to_local, to_world
from ..kinematics import action_between
from ..observation import Normalizer, Observation, ObservationConfig
from ..raster import CHANNELS, LANES, OFFROAD, VEHICLES
from ..rollout import Futures
from .base import Latent, Truth, WorldModel
from .convolutions import Conv2d
from .layers import Bottleneck, ImageDecoder, StateHead, feature_maps, image_encoder, perceptron

_FAINTEST = 1 / 255
"""Coverage is remembered from image to image no closer to 0 or 1 than this."""
_CHANGE_MPS2 = 1.0
_TURN_RADPS = 0.05
"""What drivers do, in order of magnitude: it scales the ego's motion, told or predicted."""


@dataclass(frozen=True)
class CoupledConfig:
    """Size and kind of the coupled model.

    Attributes:
        observation: the history it sees (PPUU: 20 frames, stride 1).
        frames_per_step: recorded frames one model step spans (PPUU: 1).
        dt_s: seconds a recorded frame.
        features: maps at 1/8 of the resolution, and width of all linear layers (PPUU: 256); a
            half and a quarter of it at 1/4 and 1/2.
        latent: width of the latent of a step (PPUU: 32); 0 for a deterministic model.
        dropout: probability, also for the replicas that measure uncertainty.
        ego: who moves the ego: the model, as in PPUU, or the kinematics.
        action: what the model is told: the action, or the ego's next state.
        repeats: how the last image enters the next one before the sigmoid: as logits, so that an
            untrained model repeats it, or by value, as in PPUU, which has to learn that.
    """

    observation: ObservationConfig = field(default_factory=lambda: ObservationConfig(6, 3))
    frames_per_step: int = 3
    dt_s: float = 0.1
    features: int = 64
    latent: int = 16
    dropout: float = 0.1
    ego: Literal["model", "kinematic"] = "model"
    action: Literal["action", "state"] = "action"
    repeats: Literal["logits", "values"] = "logits"

    def __post_init__(self):
        if self.frames_per_step < 1 or self.latent < 0 or not self.dt_s > 0:
            raise InputError(
                "frames_per_step and dt_s of a world model must be positive, latent not negative"
            )
        if not 0.0 <= self.dropout < 1.0 or self.features < 4 or self.features % 4:
            raise InputError(
                f"dropout {self.dropout} must be from 0 to below 1, features {self.features} a "
                "multiple of 4"
            )

    def build(self) -> CoupledWorldModel:
        """A freshly initialised model."""
        return CoupledWorldModel(self)


PAPER = CoupledConfig(
    ObservationConfig(20, 1), frames_per_step=1, features=256, latent=32, repeats="values"
)
"""The published size."""


@dataclass(eq=False)
class _State:
    """A history that grows at its end as it is foreseen.

    Attributes:
        recorded: frames of three channels each, oldest first, in the precision of the network.
        copies: how many elements in a row share one of them.
        painted: images foreseen since, as many as the history has, oldest first, in the same
            precision.
        image: the last of all.
        ego: states at the last so many times.
        features: of this history, once somebody has asked for them.
    """

    recorded: Float[Tensor, "clips stacked rows columns"]
    copies: int
    painted: tuple[Float[Tensor, "batch 3 rows columns"], ...]
    image: Float[Tensor, "batch 3 rows columns"]
    ego: Float[Tensor, "batch frames 4"]
    features: Float[Tensor, "batch features rows8 columns8"] | None = None


class CoupledWorldModel(WorldModel):
    """See the module's text.  At PPUU's size 15.6 million parameters, 11.8 if deterministic."""

    decoupled = False
    predicts_images = True
    paints_images = True
    normalizer: Normalizer

    def __init__(self, config: CoupledConfig):
        super().__init__()
        self.config = config
        self.frames_per_step, self.dt_s = config.frames_per_step, config.dt_s
        self.latent_size, self.observation = config.latent, config.observation
        self.predicts_ego = config.ego == "model"
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
        if self.predicts_ego:
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

    def predicted_ego(self, state: _State) -> Float[Tensor, "batch 4"]:
        """Where the model believes the ego to be."""
        return state.ego[:, -1]

    def encode(self, observation: Observation) -> _State:
        """The history as it is; features follow when they are asked for."""
        recorded = observation.images.flatten(1, 2)
        if torch.is_autocast_enabled(recorded.device.type):
            # Once and for all, instead of the whole stack at each step.
            recorded = recorded.to(torch.get_autocast_dtype(recorded.device.type))
        # Channels last: convolutions on a CPU are a third faster than with one image a channel.
        recorded = recorded.contiguous(memory_format=torch.channels_last)
        return _State(recorded, 1, (), observation.images[:, -1], observation.ego)

    def _features(self, state: _State) -> Float[Tensor, "batch features rows8 columns8"]:
        """Of images and ego states, seen from the present pose; computed once for a state."""
        features = state.features
        if features is None:
            path = to_local(state.ego, state.ego[:, -1:]).flatten(1)
            features = self._seen(state)
            features = features + self._embedded(self.past, self.normalizer.path(path))
            state.features = features
        return features

    def _seen(self, state: _State) -> Float[Tensor, "batch features rows8 columns8"]:
        """Of the images alone.

        The first layer adds up over images: its share of recorded ones is the same for all copies
        of a history, and no gradient is asked for towards them.  (So the encoder is never called as
        a whole, and ``--loop.compile`` leaves it out.)
        """
        first, *others = self.see
        assert isinstance(first, Conv2d)
        frames = self.config.observation.frames
        left = CHANNELS * (frames - len(state.painted))
        parts = []
        if left:
            part = first.of(state.recorded[:, -left:], slice(left))
            parts.append(part.repeat_interleave(state.copies, 0) if state.copies > 1 else part)
        if state.painted:
            parts.append(first.of(torch.cat(state.painted, dim=1), slice(left, None)))
        features = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if first.bias is not None:
            features = features + first.bias.to(features.dtype)[:, None, None]
        for layer in others:
            features = layer(features)
        return features

    def repeat(self, state: _State, copies: int) -> _State:
        """Every element ``copies`` times in a row; a history is encoded once for all of them.

        But not in training: dropout replicas shall differ in how they see it, too.
        """
        features = state.features if self.training else self._features(state)
        return _State(
            state.recorded,
            state.copies * copies,
            tuple(image.repeat_interleave(copies, 0) for image in state.painted),
            state.image.repeat_interleave(copies, 0),
            state.ego.repeat_interleave(copies, 0),
            None if features is None else features.repeat_interleave(copies, 0),
        )

    def advance(
        self,
        state: _State,
        ego: Float[Tensor, "batch 4"] | None,
        latent: Float[Tensor, "batch latent"],
    ) -> _State:
        """Paints the next image.

        Where the model moves the ego, gradients reach actions through the network.  Where the
        kinematics do, they go through the masks that costs lay over the image (``decode``), and it
        is told of the ego as of a constant: both ways together would count a metre twice.
        """
        assert ego is not None, "a coupled model has to be told where the ego goes"
        ego = ego if self.predicts_ego else ego.detach()
        present = state.ego[:, -1]
        features = self._features(state) + self._embedded(self.drive, self.told(present, ego))
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
        if self.predicts_ego:
            ego = self.moved(present, self.move(features))
        return _State(
            state.recorded,
            state.copies,
            (*state.painted, image.to(state.recorded.dtype))[-self.config.observation.frames :],
            image,
            torch.cat([state.ego[:, 1:], ego[:, None]], dim=1),
        )

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

    def posterior(self, state: _State, truth: Truth, step: int) -> Latent:
        """From the features before the step and the image after it."""
        everybody = torch.ones(len(state.ego), dtype=torch.bool, device=state.ego.device)
        return self.posterior_of(everybody, state, truth, step)

    def posterior_of(
        self, asked: Bool[Tensor, " batch"], state: _State, truth: Truth, step: int
    ) -> Latent:
        """Standard normal where nobody asks."""
        if not self.config.latent:
            return Latent.standard(state.ego.new_zeros(len(asked), 0))
        true, rows = truth.images, asked.nonzero()[:, 0]
        assert true is not None
        lanes, offroad = true.road[rows, step].unbind(1)
        seen = self.witness(torch.stack([lanes, true.vehicles[rows, step], offroad], dim=1))
        both = (self._features(state)[rows] + seen).flatten(1)
        told = self.explain(both)
        told = told.new_zeros(len(asked), told.shape[1]).index_copy(0, rows, told)
        mean, log_variance = told.chunk(2, dim=-1)
        return Latent(mean, log_variance.clamp(-8.0, 4.0))

    def decode(self, states: list[_State], observation: Observation, futures: int) -> Futures:
        """The last image of each state, drawn at the first future's ego; the futures' mean road.

        Where the kinematics move the ego, masks are shifted against the image: the gradient goes
        from the ego's pose to them, the image's own pose is a constant.
        """
        images = torch.stack([state.image for state in states], dim=1)
        images = images.unflatten(0, (-1, futures))
        pose = torch.stack([state.ego[::futures, -1, :3] for state in states], dim=1)
        return Futures(
            images[:, :, :, VEHICLES],
            images[:, :, :, [LANES, OFFROAD]].mean(1),
            pose if self.predicts_ego else pose.detach(),
            self.raster,
        )
