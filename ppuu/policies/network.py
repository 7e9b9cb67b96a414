"""A small convolutional policy on the ego-centred images.

The images are centred on the ego, so a column always means the same distance to its side: the
first layer spans all columns at once (a lane is a pattern of its own) and only slides along the
road.  That is several times cheaper than PPUU's three two-dimensional layers and learns faster.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..kinematics import ActionBounds
from ..observation import Normalizer, Observation, ObservationConfig
from ..raster import VEHICLES
from .base import Policy, Surroundings


@dataclass(frozen=True)
class NetworkPolicyConfig:
    """Size of the policy network.

    Attributes:
        observation: what it sees.
        channels: of the three convolutions along the road (PPUU, in two dimensions: 64, 128, 256).
        hidden: width of the two fully connected layers (PPUU: 256).
        bounds: largest actions; the output is a tanh of this size.
    """

    observation: ObservationConfig = field(default_factory=ObservationConfig)
    channels: tuple[int, int, int] = (48, 48, 48)
    hidden: int = 128
    bounds: ActionBounds = field(default_factory=ActionBounds)

    def build(self) -> NetworkPolicy:
        """A freshly initialised policy; its first actions are zero."""
        return NetworkPolicy(self)


class NetworkPolicy(nn.Module, Policy):
    """Deterministic: vehicles of every frame and the present road in, bounded action out."""

    def __init__(self, config: NetworkPolicyConfig):
        super().__init__()
        self.config = config
        self.observation = config.observation
        raster = config.observation.raster
        ego_features = config.observation.frames * 4 + 2
        self.normalizer = Normalizer(ego_features)
        images, (first, second, third) = config.observation.frames + 2, config.channels
        self.vision = nn.Sequential(
            nn.Conv2d(images, first, (5, raster.columns), (2, 1), (2, 0)), nn.ReLU(),
            nn.Conv2d(first, second, (5, 1), (2, 1), (2, 0)), nn.ReLU(),
            nn.Conv2d(second, third, (5, 1), (2, 1), (2, 0)), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        with torch.no_grad():
            seen = self.vision(torch.zeros(1, images, raster.rows, raster.columns)).shape[1]
        self.decide = nn.Sequential(
            nn.Linear(seen + ego_features, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, 2),
        )  # fmt: skip
        nn.init.zeros_(self.decide[-1].weight)
        nn.init.zeros_(self.decide[-1].bias)

    def forward(self, observation: Observation) -> Float[Tensor, "batch 2"]:
        """Actions in physical units, differentiable."""
        images = observation.images
        picture = torch.cat([images[:, :-1, VEHICLES], images[:, -1]], dim=1)
        ego = self.normalizer.ego(observation.ego_features)
        wish = self.decide(torch.cat([self.vision(picture), ego], dim=1))
        return torch.tanh(wish) * self.config.bounds.largest(wish)

    @torch.no_grad()
    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """The same without gradients; the surroundings are not looked at."""
        return self(observation)
