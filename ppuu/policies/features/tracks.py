"""The vehicles around the ego, each as the ego sees it, pooled by attention.

The order of the vehicles does not matter, nor how many there are, and everything is relative to
the ego, so what is learnt turns and shifts with the scene.  Gradients run from the features to the
ego's state, as a policy needs when it is unrolled.
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
"""Where the ego looks at the road."""


@dataclass(frozen=True)
class TracksConfig:
    """Size of the network.

    Attributes:
        observation: what is seen; ``vehicles`` of it.
        hidden: width of a vehicle, of the road and of the ego's own history.
        heads: attention heads.
    """

    observation: ObservationConfig = field(
        default_factory=lambda: ObservationConfig(vehicles=24, images=False)
    )
    hidden: int = 64
    heads: int = 4

    def __post_init__(self):
        if self.observation.vehicles < 1:
            raise InputError("a policy on tracks needs observation.vehicles of at least 1")
        if self.hidden < 1 or self.heads < 1 or self.hidden % self.heads:
            raise InputError(
                f"hidden {self.hidden} must be a positive multiple of heads {self.heads}"
            )

    def build(self) -> TrackFeatures:
        """Freshly initialised."""
        return TrackFeatures(self)


class TrackFeatures(nn.Module):
    """Others by attention and by their largest values, the road beside, the own history.

    Attributes:
        width: of the features.
    """

    def __init__(self, config: TracksConfig):
        super().__init__()
        hidden, frames = config.hidden, config.observation.frames
        self.heads = config.heads
        self.own = nn.Linear(frames * 4 + 2, hidden)
        self.road = nn.Sequential(
            nn.Linear(ROAD_FEATURES * len(_AHEAD_M), hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.other = nn.Linear(PAIR_FEATURES + 5 * frames + 2, hidden)
        self.mind = nn.Linear(2 * hidden, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)
        self.weigh = nn.Linear(hidden, config.heads)
        self.width = 4 * hidden

    def forward(
        self, observation: Observation, ego: Float[Tensor, "batch ego"]
    ) -> Float[Tensor, "batch features"]:
        """Everything that surrounds the ego, and its normalised history."""
        tracks, road, now = observation.tracks, observation.road, observation.ego[:, -1:]
        assert tracks is not None
        assert road is not None
        own = functional.relu(self.own(ego))
        beside = functional.relu(self.road(road_features(road, now, _AHEAD_M)[:, 0]))
        past = to_local(tracks.states, tracks.now[:, :, None])
        x, y, turn, speed = past.unbind(-1)
        shown = torch.stack(
            [x / 10, y, turn.sin() * 4, (speed - speed[..., -1:]) / 3, torch.ones_like(x)], dim=-1
        )
        shown = (shown * tracks.present[..., None]).flatten(2)
        size = observation.size_m[:, None]
        seen = pair_features(now, tracks.now[:, None], size, tracks.size_m[:, None])[:, 0]
        seen = torch.cat([seen, shown, tracks.size_m / 5], dim=-1)
        mind = self.mind(torch.cat([own, beside], dim=-1))
        each = functional.relu(self.other(seen) + mind[:, None])
        each = functional.relu(self.second(each))
        here = tracks.here[..., None]
        weight = self.weigh(each).masked_fill(~here, -1e4).softmax(1) * here
        taken = (weight[..., None] * each.unflatten(-1, (self.heads, -1))).sum(1).flatten(1)
        largest = (each * here).amax(1)
        return torch.cat([own, beside, taken, largest], dim=1)
