"""Features of the vehicles around the ego, pooled by attention.

The features are invariant to the order of the vehicles and, since all inputs are relative to the
ego, to translation and rotation of the scene.  They are differentiable with respect to the ego's
state, as needed for unrolling a policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ...geometry import to_local
from ...perception.observation import Observation, ObservationConfig
from ...perception.relative_features import (
    PAIR_FEATURES,
    ROAD_FEATURES,
    pair_features,
    road_features,
)
from ...runtime.errors import InputError

_AHEAD_M = (0.0, 12.0, 30.0)
"""Distances ahead of the ego at which the road is sampled."""


@dataclass(frozen=True)
class TracksConfig:
    """Size of the network.

    Attributes:
        observation: of the policy, with ``vehicles`` of at least 1.
        hidden: width of the features of a vehicle, of the road and of the ego's history.
        heads: number of attention heads.
    """

    observation: ObservationConfig = field(
        default_factory=lambda: ObservationConfig(vehicles=24, images=False)
    )
    hidden: int = 64
    heads: int = 4

    def __post_init__(self):
        if self.observation.vehicles < 1:
            raise InputError("tracks: observation.vehicles must be at least 1")
        if self.hidden < 1 or self.heads < 1 or self.hidden % self.heads:
            raise InputError(
                f"tracks: hidden {self.hidden} must be a positive multiple of heads {self.heads}"
            )

    def build(self) -> TrackFeatures:
        """A newly initialised module."""
        return TrackFeatures(self)


class TrackFeatures(nn.Module):
    """Attention and max pooling over vehicles, road features and the ego's history.

    Attributes:
        width: number of features.
    """

    def __init__(self, config: TracksConfig):
        super().__init__()
        hidden, frames = config.hidden, config.observation.frames
        self.heads = config.heads
        self.ego_encoder = nn.Linear(frames * 4 + 2, hidden)
        self.road_encoder = nn.Sequential(
            nn.Linear(ROAD_FEATURES * len(_AHEAD_M), hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.vehicle_encoder = nn.Linear(PAIR_FEATURES + 5 * frames + 2, hidden)
        self.query = nn.Linear(2 * hidden, hidden, bias=False)
        self.vehicle_hidden = nn.Linear(hidden, hidden)
        self.attention_logits = nn.Linear(hidden, config.heads)
        self.width = 4 * hidden

    def forward(
        self, observation: Observation, ego: Float[Tensor, "batch ego"]
    ) -> Float[Tensor, "batch features"]:
        """Features of the surroundings and of the normalised ego history."""
        tracks, road, now = observation.tracks, observation.road, observation.ego[:, -1:]
        assert tracks is not None
        assert road is not None
        ego_features = functional.relu(self.ego_encoder(ego))
        beside = road_features(road, now, _AHEAD_M)[:, 0]
        road_embedding = functional.relu(self.road_encoder(beside))
        history = to_local(tracks.states, tracks.now[:, :, None])
        x, y, turn, speed = history.unbind(-1)
        history = torch.stack(
            [x / 10, y, turn.sin() * 4, (speed - speed[..., -1:]) / 3, torch.ones_like(x)], dim=-1
        )
        history = (history * tracks.valid[..., None]).flatten(2)
        size = observation.size_m[:, None]
        relative = pair_features(now, tracks.now[:, None], size, tracks.size_m[:, None])[:, 0]
        inputs = torch.cat([relative, history, tracks.size_m / 5], dim=-1)
        query = self.query(torch.cat([ego_features, road_embedding], dim=-1))
        vehicles = functional.relu(self.vehicle_encoder(inputs) + query[:, None])
        vehicles = functional.relu(self.vehicle_hidden(vehicles))
        valid = tracks.valid_now[..., None]
        weight = self.attention_logits(vehicles).masked_fill(~valid, -1e4).softmax(1) * valid
        values = vehicles.unflatten(-1, (self.heads, -1))
        attended = (weight[..., None] * values).sum(1).flatten(1)
        pooled = (vehicles * valid).amax(1)
        return torch.cat([ego_features, road_embedding, attended, pooled], dim=1)
