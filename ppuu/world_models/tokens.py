"""Vehicles as tokens: a small attention model of how everybody drives, drawn only when looked at.

Every vehicle near the ego is a token with a state of its own, kinematic and hidden.  Each step it
looks at the others, chooses an acceleration and a curvature, and is moved by the same kinematics
as the ego.  All features are relative (own past seen from the own present pose, others seen from
oneself, the road beside oneself), so predictions turn and shift with the scene and do not depend
on the order of the slots.  The ego's place is a token as well: what a driver there would do
explains what those behind do; the futures stay independent of the ego's actions.

An untrained model predicts that accelerations fade within a second.
"""

from __future__ import annotations

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
from ..perception.constant_velocity_frame import gliding_poses
from ..perception.observation import Observation, ObservationConfig
from ..perception.relative_features import (
    PAIR_FEATURES,
    ROAD_FEATURES,
    pairs,
    present_action,
    relative,
    road_beside,
)
from ..predictions import BoxPrediction, Target, TargetConfig
from ..recordings.tracks import Tracks
from ..runtime.errors import InputError
from .base import DropoutConfig, Ego, WorldModel
from .latent import Latent, posterior_head, zero_head
from .token_latents import MOMENTS, WENT, dealt, joined, moments, went

_AHEAD_M = (0.0, 15.0)
"""Where a vehicle looks at the road."""
_FADE_S = 1.0
_LIMIT_MPS2, _LIMIT_RADPM = 6.0, 0.1
_MOTION = 6
_SIDEWAYS = 4.0
"""Vehicles one lane further are as far as those four lane widths ahead."""


@dataclass(frozen=True)
class TokensConfig(DropoutConfig):
    """Size of the token model.

    Attributes:
        observation: the history it sees; ``vehicles`` of it are tokens.
        frames_per_step: recorded frames one model step spans.
        dt_s: seconds a recorded frame.
        hidden: width of a token.
        pair: width of what one vehicle sees of another.
        looks_at: how many of the others a vehicle looks at, the same ones over a rollout.
        heads: attention heads.
        latent: width of a vehicle's own latent.
        scene_latent: width of the latent that all vehicles share.
        latent_span: whether every step has latents of its own, or a rollout one set.
        prior: of the latents: the standard normal, or learned from the hidden states.
        dropout: probability, also for the replicas that measure uncertainty.
    """

    observation: ObservationConfig = field(
        default_factory=lambda: ObservationConfig(vehicles=24, images=False)
    )
    latent: int = 2
    hidden: int = 64
    pair: int = 32
    looks_at: int = 8
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
        if min(self.hidden, self.pair, self.heads, self.looks_at) < 1:
            raise InputError("sizes of a token model must be positive")
        if self.observation.vehicles < 1:
            raise InputError("a token model needs observation.vehicles of at least 1")
        if self.pair % self.heads:
            raise InputError(f"pair {self.pair} must be a multiple of heads {self.heads}")

    def build(self) -> TokensWorldModel:
        """A freshly initialised model."""
        return TokensWorldModel(self)


@dataclass(frozen=True, eq=False)
class _State:
    """Where the tokens are in a rollout; the ego's is the first."""

    start: Float[Tensor, "batch tokens 4"]
    now: Float[Tensor, "batch tokens 4"]
    action: Float[Tensor, "batch tokens 2"]
    hidden: Float[Tensor, "batch tokens hidden"]
    size_m: Float[Tensor, "batch tokens 2"]
    looks_at: Int[Tensor, "batch tokens seen"]
    visible: Bool[Tensor, "batch tokens seen"]
    here: Bool[Tensor, "batch tokens"]
    past: Float[Tensor, "batch tokens hidden"]
    road: Float[Tensor, "batch tokens hidden"]
    steps: int


class TokensWorldModel(WorldModel):
    """See the module's text.  Default: 66,000 parameters."""

    def __init__(self, config: TokensConfig):
        super().__init__()
        self.config = config
        self.spec = config.spec(
            latent=config.scene_latent + (1 + config.observation.vehicles) * config.latent,
            latent_span=config.latent_span, embedding=2 * config.hidden,
            target=TargetConfig(tracks=True),
        )  # fmt: skip
        hidden, history = config.hidden, config.observation.frames * 6
        looks = ROAD_FEATURES * len(_AHEAD_M)
        self.past = nn.Sequential(
            nn.Linear(history + 2 + 1, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.look = nn.Sequential(nn.Linear(looks, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.first = _Attention(config)
        self.settle = nn.Linear(2 * hidden + config.pair, hidden)
        self.attention = _Attention(config)
        width = config.scene_latent + config.latent
        self.cell = nn.GRUCell(config.pair + _MOTION + width, hidden)
        self.dropout = Dropout(config.dropout, config.pair)
        self.drive = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), zero_head(nn.Linear(hidden, 2))
        )
        self.explain = nn.Sequential(
            nn.Linear(hidden + WENT * (MOMENTS if config.latent_span == "rollout" else 1), hidden),
            nn.ReLU(),
            posterior_head(nn.Linear(hidden, 2 * width)),
        )
        learned = config.prior == "learned"
        self.expect = zero_head(nn.Linear(hidden, 2 * width)) if learned else None

    def begin(self, observation: Observation) -> _State:
        """Every vehicle's past as it sees it itself, the road beside it, and its neighbours."""
        tracks = _with_ego(observation)
        assert observation.road is not None
        start, here = tracks.now, tracks.valid_now
        past = to_local(tracks.states, start[:, :, None])
        x, y, turn, speed = past.unbind(-1)
        seen = tracks.valid
        shown = torch.stack(
            [x / 10, y, turn.sin() * 4, turn.cos() - 1, (speed - speed[..., -1:]) / 3,
             torch.ones_like(x)], dim=-1,
        ) * seen[..., None]  # fmt: skip
        own = [shown.flatten(2), tracks.size_m / 5, start[..., 3:] / 10]
        hidden = functional.relu(self.past(torch.cat(own, dim=-1)))
        road = self.look(road_beside(observation.road, start, _AHEAD_M))
        looks_at, visible = _looked_at(start, here, self.config.looks_at)
        message = self.first(hidden, start, tracks.size_m, looks_at, visible)
        hidden = functional.relu(self.settle(torch.cat([hidden, road, message], dim=-1)))
        action = present_action(tracks, self.config.observation.stride * self.dt_s)
        return _State(
            start, start, action, hidden, tracks.size_m, looks_at, visible, here, hidden, road, 0
        )

    def embedding(self, state: _State) -> Float[Tensor, "batch features"]:
        """Of the token in the ego's place, and the road beside it."""
        return torch.cat([state.hidden[:, 0], state.road[:, 0]], dim=1)

    def advance(
        self, state: _State, ego: Ego, latent: Float[Tensor, "batch latent"]
    ) -> tuple[_State, Ego]:
        """Everybody looks, decides and drives for one step; the real ego plays no part."""
        message = self.attention(
            state.hidden, state.now, state.size_m, state.looks_at, state.visible
        )
        moved = to_local(state.now, state.start)
        motion = torch.stack(
            [moved[..., 0] / 30, moved[..., 1], moved[..., 2] * 4, state.now[..., 3] / 10,
             state.action[..., 0] / 3, state.action[..., 1] * 50], dim=-1,
        )  # fmt: skip
        latent = dealt(latent, state.here.shape[1], self.config.scene_latent)
        entering = torch.cat([self.dropout(message), motion, latent], dim=-1)
        hidden = self.cell(entering.flatten(0, 1), state.hidden.flatten(0, 1))
        hidden = hidden.view_as(state.hidden)
        choice = self.drive(torch.cat([hidden, state.road], dim=-1))
        fade = math.exp(-self.step_s / _FADE_S)
        limit = choice.new_tensor([_LIMIT_MPS2, _LIMIT_RADPM])
        scale = choice.new_tensor([1.0, 0.01])
        action = fade * state.action + choice * scale
        action = torch.minimum(torch.maximum(action, -limit), limit)
        now = kinematic_step(state.now, action, self.step_s)
        state = replace(state, now=now, action=action, hidden=hidden, steps=state.steps + 1)
        return state, ego

    def prior(self, state: _State) -> Latent | None:
        """From each token's hidden state; of a rollout's latents, from that after the history."""
        if self.expect is None:
            return None
        hidden = state.hidden if self.spec.latent_span == "step" else state.past
        return joined(self.expect(hidden), state.here, self.config.scene_latent)

    def posterior(self, state: _State, target: Target, step: int) -> Latent:
        """From each token's hidden state and where its vehicle went, in a step or all of them."""
        assert target.tracks is not None
        assert target.valid is not None
        tracks = torch.cat([target.ego[:, None], target.tracks], dim=1)
        known = functional.pad(target.valid, (0, 0, 1, 0), value=True)
        if self.spec.latent_span == "step":
            start, hidden, before, steps = state.now, state.hidden, step, [step]
        else:
            start, hidden, before, steps = state.start, state.past, 0, moments(known.shape[2])
        seconds = self.step_s * torch.tensor([s + 1 - before for s in steps], device=start.device)
        seen = went(start, tracks[:, :, steps], known[:, :, steps], seconds)
        told = self.explain(torch.cat([hidden, seen], dim=-1))
        return joined(told, state.here, self.config.scene_latent)

    def decode(self, states: list[_State], observation: Observation, samples: int) -> BoxPrediction:
        """The others' states; the token in the ego's place stays untold."""
        assert observation.tracks is not None
        assert observation.road is not None
        told = torch.stack([state.now[:, 1:] for state in states], dim=1)
        seconds = told.new_tensor([state.steps for state in states]) * self.step_s
        return BoxPrediction(
            gliding_poses(observation.ego[:, -1], seconds)[:, None],
            self.raster,
            told.unflatten(0, (-1, 1, samples)),
            observation.tracks.size_m,
            observation.tracks.valid_now,
            observation.road,
        )


class _Attention(nn.Module):
    """What each vehicle takes from the others: additive attention over relative geometry."""

    def __init__(self, config: TokensConfig):
        super().__init__()
        self.heads = config.heads
        self.geometry = nn.Linear(PAIR_FEATURES, config.pair)
        self.other = nn.Linear(config.hidden, config.pair, bias=False)
        self.self = nn.Linear(config.hidden, config.pair, bias=False)
        self.weigh = nn.Linear(config.pair, config.heads)

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens hidden"],
        states: Float[Tensor, "batch tokens 4"],
        size_m: Float[Tensor, "batch tokens 2"],
        looks_at: Int[Tensor, "batch tokens seen"],
        visible: Bool[Tensor, "batch tokens seen"],
    ) -> Float[Tensor, "batch tokens pair"]:
        """A message for each token; zero for who is alone."""
        seen = pairs(states, _of(states, looks_at), size_m, _of(size_m, looks_at))
        other = _of(self.other(hidden), looks_at)
        seen = functional.relu(self.geometry(seen) + other + self.self(hidden)[:, :, None])
        weight = self.weigh(seen).masked_fill(~visible[..., None], -1e4).softmax(2)
        weight = weight * visible[..., None]
        by_head = seen.unflatten(-1, (self.heads, -1))
        return (weight[..., None] * by_head).sum(2).flatten(2)


def _of(
    values: Float[Tensor, "batch tokens features"], looks_at: Int[Tensor, "batch tokens seen"]
) -> Float[Tensor, "batch tokens seen features"]:
    """The values of those each token looks at."""
    first = torch.arange(len(values), device=values.device)[:, None, None] * values.shape[1]
    return (
        values.flatten(0, 1).index_select(0, (looks_at + first).flatten()).view(*looks_at.shape, -1)
    )


def _looked_at(
    states: Float[Tensor, "batch tokens 4"], here: Bool[Tensor, "batch tokens"], count: int
) -> tuple[Int[Tensor, "batch tokens seen"], Bool[Tensor, "batch tokens seen"]]:
    """Whom each token looks at: the nearest, sideways counting more, and who of them is there."""
    ahead, left = relative(states[:, :, None], states[:, None])
    apart = ahead.square() + (_SIDEWAYS * left).square()
    blind = ~here[:, None] | torch.eye(here.shape[1], dtype=torch.bool, device=here.device)
    apart = apart.masked_fill(blind, torch.inf)
    apart, nearest = apart.topk(min(count, here.shape[1] - 1), dim=2, largest=False)
    return nearest, apart.isfinite()


def _with_ego(observation: Observation) -> Tracks:
    """The ego in front of its neighbours."""
    tracks = observation.tracks
    assert tracks is not None
    there = torch.ones_like(tracks.valid[:, :1])
    nobody = torch.full_like(tracks.vehicle[:, :1], -1)
    return Tracks(
        torch.cat([observation.ego[:, None], tracks.states], dim=1),
        torch.cat([there, tracks.valid], dim=1),
        torch.cat([observation.size_m[:, None], tracks.size_m], dim=1),
        torch.cat([nobody, tracks.vehicle], dim=1),
    )
