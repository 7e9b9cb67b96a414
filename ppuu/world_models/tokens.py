"""Vehicles as tokens: a recurrent attention model of traffic on tracks.

Every vehicle near the ego is a token with a kinematic and a hidden state.  At each step it attends
to its neighbours, predicts an acceleration and a curvature, and is moved by the same kinematics as
the ego.  All features are relative to the vehicle (its history, its neighbours, the road beside
it), so predictions are equivariant to translation and rotation of the scene and to permutation of
the slots.  The ego is a token as well, driven by the model, so that vehicles behind it have a
leader; predictions do not depend on the ego's actions.

An untrained model predicts that accelerations decay within a second.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from ..encoders.dropout import Dropout
from ..geometry import to_local
from ..kinematics import step as kinematic_step
from ..perception.constant_velocity_frame import constant_velocity_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.relative_features import (
    PAIR_FEATURES,
    ROAD_FEATURES,
    last_action,
    pair_features,
    relative_position,
    road_features,
)
from ..predictions import BoxPrediction, Target, TargetConfig
from ..recordings.tracks import Tracks
from ..runtime.errors import InputError
from .base import DropoutConfig, Ego, WorldModel
from .latent import Latent, init_posterior, zero_init
from .spec import ModelSpec
from .token_latents import (
    DISPLACEMENT_FEATURES,
    POSTERIOR_TIMES,
    displacement_features,
    merge_latents,
    posterior_steps,
    split_latents,
)

_AHEAD_M = (0.0, 15.0)
"""Distances ahead of a vehicle at which the road is sampled."""
_DECAY_S = 1.0
"""Time constant with which an action decays if the action head predicts 0."""
_MAX_MPS2, _MAX_RADPM = 6.0, 0.1
_MOTION_FEATURES = 6
_LATERAL_WEIGHT = 4.0
"""Weight of lateral distance when the nearest neighbours are chosen."""


@dataclass(frozen=True)
class TokensConfig(DropoutConfig):
    """Size of the token model.

    Attributes:
        observation: the history; its ``vehicles`` are tokens.
        frames_per_step: recorded frames per model step.
        dt_s: seconds per recorded frame.
        hidden: width of a token's hidden state.
        pair: width of the features of a pair of vehicles.
        neighbours: number of vehicles that a token attends to, the same ones over a rollout.
        heads: attention heads.
        latent: width of each vehicle's own latent.
        scene_latent: width of the latent that all vehicles share.
        latent_span: one set of latents per step, or one per rollout.
        prior: the standard normal, or learned from the hidden states.
        dropout: probability, also of the replicas for epistemic uncertainty.
    """

    observation: ObservationConfig = field(
        default_factory=lambda: ObservationConfig(vehicles=24, images=False)
    )
    latent: int = 2
    hidden: int = 64
    pair: int = 32
    neighbours: int = 8
    heads: int = 4
    scene_latent: int = 0
    latent_span: Literal["step", "rollout"] = "step"
    prior: Literal["standard", "learned"] = "standard"

    def __post_init__(self):
        super().__post_init__()
        if min(self.latent, self.scene_latent) < 0 or self.latent + self.scene_latent < 1:
            raise InputError(
                f"latent {self.latent} and scene_latent {self.scene_latent} of a token model must "
                "not be negative, nor both 0"
            )
        if min(self.hidden, self.pair, self.heads, self.neighbours) < 1:
            raise InputError(
                f"hidden {self.hidden}, pair {self.pair}, heads {self.heads} and neighbours "
                f"{self.neighbours} of a token model must be at least 1"
            )
        if self.observation.vehicles < 1:
            raise InputError(
                f"observation.vehicles {self.observation.vehicles}: a token model needs at least 1"
            )
        if self.pair % self.heads:
            raise InputError(f"pair {self.pair} must be a multiple of heads {self.heads}")

    def build(self) -> TokensWorldModel:
        """A newly initialised model."""
        return TokensWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """The tokens of a rollout; the first is the ego's.

    Attributes:
        start: kinematic states at the end of the history.
        now: kinematic states after the last step.
        action: of the last step.
        hidden: hidden states after the last step.
        size_m: length and width.
        neighbours: indices of the tokens that each attends to.
        neighbour_valid: which of those stand for a vehicle.
        valid: which tokens stand for a vehicle.
        initial_hidden: hidden states at the end of the history.
        road: features of the road beside each vehicle at the end of the history.
        steps: number of steps so far.
    """

    start: Float[Tensor, "batch tokens 4"]
    now: Float[Tensor, "batch tokens 4"]
    action: Float[Tensor, "batch tokens 2"]
    hidden: Float[Tensor, "batch tokens hidden"]
    size_m: Float[Tensor, "batch tokens 2"]
    neighbours: Int[Tensor, "batch tokens neighbours"]
    neighbour_valid: Bool[Tensor, "batch tokens neighbours"]
    valid: Bool[Tensor, "batch tokens"]
    initial_hidden: Float[Tensor, "batch tokens hidden"]
    road: Float[Tensor, "batch tokens hidden"]
    steps: int


class TokensWorldModel(WorldModel):
    """The token model described above.  Default: 66,000 parameters."""

    def __init__(self, config: TokensConfig):
        super().__init__()
        self.config = config
        self.spec = _spec(config)
        hidden, history = config.hidden, config.observation.frames * 6
        road = ROAD_FEATURES * len(_AHEAD_M)
        self.history_encoder = nn.Sequential(
            nn.Linear(history + 2 + 1, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.road_encoder = nn.Sequential(
            nn.Linear(road, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.history_attention = _Attention(config)
        self.fuse = nn.Linear(2 * hidden + config.pair, hidden)
        self.attention = _Attention(config)
        width = config.scene_latent + config.latent
        self.gru = nn.GRUCell(config.pair + _MOTION_FEATURES + width, hidden)
        self.dropout = Dropout(config.dropout, config.pair)
        self.action_head = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), zero_init(nn.Linear(hidden, 2))
        )
        times = POSTERIOR_TIMES if config.latent_span == "rollout" else 1
        self.posterior_head = nn.Sequential(
            nn.Linear(hidden + DISPLACEMENT_FEATURES * times, hidden),
            nn.ReLU(),
            init_posterior(nn.Linear(hidden, 2 * width)),
        )
        learned = config.prior == "learned"
        self.prior_head = zero_init(nn.Linear(hidden, 2 * width)) if learned else None

    def with_vehicles(self, vehicles: int) -> TokensWorldModel:
        """The same network for another number of tracked vehicles: no weight depends on it."""
        observation = replace(self.config.observation, vehicles=vehicles)
        model = copy.copy(self)
        model.config = replace(self.config, observation=observation)
        model.spec = _spec(model.config)
        return model

    def noise_of(
        self,
        scene: Float[Tensor, "batch shared"],
        tokens: Float[Tensor, "batch tokens own"],
    ) -> Float[Tensor, "batch 1 latent"]:
        """Noise of one step, from that of the scene and that of each token.

        Args:
            scene: of the latent that all vehicles share, ``scene_latent`` wide.
            tokens: ``latent`` wide each, the ego's first.
        """
        return torch.cat([scene, tokens.flatten(1)], dim=1)[:, None]

    def begin(self, observation: Observation) -> _State:
        """Encodes every vehicle's history in its own frame, its road and its neighbours."""
        tracks = _with_ego(observation)
        assert observation.road is not None
        start, valid = tracks.now, tracks.valid_now
        local = to_local(tracks.states, start[:, :, None])
        x, y, turn, speed = local.unbind(-1)
        history = torch.stack(
            [x / 10, y, turn.sin() * 4, turn.cos() - 1, (speed - speed[..., -1:]) / 3,
             torch.ones_like(x)], dim=-1,
        ) * tracks.valid[..., None]  # fmt: skip
        features = [history.flatten(2), tracks.size_m / 5, start[..., 3:] / 10]
        hidden = functional.relu(self.history_encoder(torch.cat(features, dim=-1)))
        road = self.road_encoder(road_features(observation.road, start, _AHEAD_M))
        neighbours, neighbour_valid = _nearest(start, valid, self.config.neighbours)
        message = self.history_attention(hidden, start, tracks.size_m, neighbours, neighbour_valid)
        hidden = functional.relu(self.fuse(torch.cat([hidden, road, message], dim=-1)))
        action = last_action(tracks, self.config.observation.stride * self.dt_s)
        return _State(
            start,
            start,
            action,
            hidden,
            tracks.size_m,
            neighbours,
            neighbour_valid,
            valid,
            hidden,
            road,
            0,
        )

    def embedding(self, state: _State) -> Float[Tensor, "batch features"]:
        """The hidden state of the ego's token, and features of the road beside it."""
        return torch.cat([state.hidden[:, 0], state.road[:, 0]], dim=1)

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """One step of attention, recurrence and kinematics; ``ego`` is ignored."""
        message = self.attention(
            state.hidden, state.now, state.size_m, state.neighbours, state.neighbour_valid
        )
        moved = to_local(state.now, state.start)
        motion = torch.stack(
            [moved[..., 0] / 30, moved[..., 1], moved[..., 2] * 4, state.now[..., 3] / 10,
             state.action[..., 0] / 3, state.action[..., 1] * 50], dim=-1,
        )  # fmt: skip
        latent = split_latents(latent, state.valid.shape[1], self.config.scene_latent)
        inputs = torch.cat([self.dropout(message), motion, latent], dim=-1)
        hidden = self.gru(inputs.flatten(0, 1), state.hidden.flatten(0, 1))
        hidden = hidden.view_as(state.hidden)
        change = self.action_head(torch.cat([hidden, state.road], dim=-1))
        decay = math.exp(-self.step_s / _DECAY_S)
        limit = change.new_tensor([_MAX_MPS2, _MAX_RADPM])
        scale = change.new_tensor([1.0, 0.01])
        action = decay * state.action + change * scale
        action = torch.minimum(torch.maximum(action, -limit), limit)
        now = kinematic_step(state.now, action, self.step_s)
        state = replace(state, now=now, action=action, hidden=hidden, steps=state.steps + 1)
        return state, ego

    def prior(self, state: _State) -> Latent | None:
        """From each token's hidden state, for rollout latents that at the end of the history."""
        if self.prior_head is None:
            return None
        hidden = state.hidden if self.spec.latent_span == "step" else state.initial_hidden
        return merge_latents(self.prior_head(hidden), state.valid, self.config.scene_latent)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From each token's hidden state and displacement, over one step or the rollout."""
        assert target.tracks is not None
        assert target.valid is not None
        tracks = torch.cat([target.ego[:, None], target.tracks], dim=1)
        valid = functional.pad(target.valid, (0, 0, 1, 0), value=True)
        if self.spec.latent_span == "step":
            start, hidden, before, steps = state.now, state.hidden, step, [step]
        else:
            start, hidden, before = state.start, state.initial_hidden, 0
            steps = posterior_steps(valid.shape[2])
        seconds = self.step_s * torch.tensor([s + 1 - before for s in steps], device=start.device)
        displacement = displacement_features(
            start, tracks[:, :, steps], valid[:, :, steps], seconds
        )
        parameters = self.posterior_head(torch.cat([hidden, displacement], dim=-1))
        return merge_latents(parameters, state.valid, self.config.scene_latent)

    def decode(self, states: list[_State], observation: Observation, samples: int) -> BoxPrediction:
        """The vehicles' states, without the ego's token."""
        assert observation.tracks is not None
        assert observation.road is not None
        vehicles = torch.stack([state.now[:, 1:] for state in states], dim=1)
        seconds = vehicles.new_tensor([state.steps for state in states]) * self.step_s
        return BoxPrediction(
            constant_velocity_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            vehicles.unflatten(0, (-1, 1, samples)),
            observation.tracks.size_m,
            observation.tracks.valid_now,
            observation.road,
        )


def _spec(config: TokensConfig) -> ModelSpec:
    return config.spec(
        latent=config.scene_latent + (1 + config.observation.vehicles) * config.latent,
        latent_span=config.latent_span, embedding=2 * config.hidden,
        target=TargetConfig(tracks=True),
    )  # fmt: skip


class _Attention(nn.Module):
    """Additive attention (Bahdanau et al., 2015) to neighbours, with relative geometry."""

    def __init__(self, config: TokensConfig):
        super().__init__()
        self.heads = config.heads
        self.geometry = nn.Linear(PAIR_FEATURES, config.pair)
        self.key = nn.Linear(config.hidden, config.pair, bias=False)
        self.query = nn.Linear(config.hidden, config.pair, bias=False)
        self.attention_logits = nn.Linear(config.pair, config.heads)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens hidden"],
        states: Float[Tensor, "batch tokens 4"],
        size_m: Float[Tensor, "batch tokens 2"],
        neighbours: Int[Tensor, "batch tokens neighbours"],
        neighbour_valid: Bool[Tensor, "batch tokens neighbours"],
    ) -> Float[Tensor, "batch tokens pair"]:
        """A message for each token; zero without neighbours."""
        geometry = pair_features(
            states, _gather(states, neighbours), size_m, _gather(size_m, neighbours)
        )
        key = _gather(self.key(hidden), neighbours)
        value = functional.relu(self.geometry(geometry) + key + self.query(hidden)[:, :, None])
        mask = neighbour_valid[..., None]
        weight = self.attention_logits(value).masked_fill(~mask, -1e4).softmax(2) * mask
        by_head = value.unflatten(-1, (self.heads, -1))
        return (weight[..., None] * by_head).sum(2).flatten(2)


def _gather(
    values: Float[Tensor, "batch tokens features"], index: Int[Tensor, "batch tokens neighbours"]
) -> Float[Tensor, "batch tokens neighbours features"]:
    """The values of each token's neighbours."""
    first = torch.arange(len(values), device=values.device)[:, None, None] * values.shape[1]
    return values.flatten(0, 1).index_select(0, (index + first).flatten()).view(*index.shape, -1)


def _nearest(
    states: Float[Tensor, "batch tokens 4"], valid: Bool[Tensor, "batch tokens"], count: int
) -> tuple[Int[Tensor, "batch tokens neighbours"], Bool[Tensor, "batch tokens neighbours"]]:
    """Indices of each token's nearest neighbours, and which of those stand for a vehicle."""
    ahead, left = relative_position(states[:, :, None], states[:, None])
    distance = ahead.square() + (_LATERAL_WEIGHT * left).square()
    itself = torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    distance = distance.masked_fill(~valid[:, None] | itself, torch.inf)
    distance, index = distance.topk(min(count, valid.shape[1] - 1), dim=2, largest=False)
    return index, distance.isfinite()


def _with_ego(observation: Observation) -> Tracks:
    """The tracks with the ego as the first vehicle."""
    tracks = observation.tracks
    assert tracks is not None
    ego_valid = torch.ones_like(tracks.valid[:, :1])
    ego_number = torch.full_like(tracks.vehicle[:, :1], -1)
    return Tracks(
        torch.cat([observation.ego[:, None], tracks.states], dim=1),
        torch.cat([ego_valid, tracks.valid], dim=1),
        torch.cat([observation.size_m[:, None], tracks.size_m], dim=1),
        torch.cat([ego_number, tracks.vehicle], dim=1),
    )
