"""A policy that was learnt: features of what is seen, two layers that decide, an action."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import InputError
from ..kinematics import ActionBounds
from ..observation import Normalizer, Observation, ObservationConfig
from .base import Policy, Surroundings
from .features import FeaturesConfig, TracksConfig
from .heads import head


@dataclass(frozen=True)
class NetworkPolicyConfig:
    """Size of the policy network.

    Attributes:
        features: what it looks at: tracks, pixels, or a world model's embedding.
        hidden: width of the two fully connected layers (PPUU: 256).
        components: 0 for one action; 1 for a Gaussian of actions; more for a mixture of Gaussians.
        bounds: largest actions; the output is a tanh of this size.
    """

    features: FeaturesConfig = field(default_factory=TracksConfig)
    hidden: int = 128
    components: int = 0
    bounds: ActionBounds = field(default_factory=ActionBounds)

    def __post_init__(self):
        if self.hidden < 1 or self.components < 0:
            raise InputError(
                f"a policy of hidden {self.hidden} and components {self.components}: at least 1 "
                "and 0"
            )

    @property
    def observation(self) -> ObservationConfig:
        """What it sees."""
        return self.features.observation

    def build(self) -> NetworkPolicy:
        """A freshly initialised policy; its first actions are zero."""
        return NetworkPolicy(self)


class NetworkPolicy(nn.Module, Policy):
    """See the module's text."""

    def __init__(self, config: NetworkPolicyConfig):
        super().__init__()
        self.config, self.observation = config, config.observation
        self.normalizer = Normalizer(config.observation.frames * 4 + 2)
        self.features = config.features.build()
        self.decide = nn.Sequential(
            nn.Linear(self.features.width, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, config.hidden), nn.ReLU(),
        )  # fmt: skip
        self.head = head(config.hidden, config.bounds, config.components)

    def _thought(self, observation: Observation) -> Float[Tensor, "batch hidden"]:
        ego = self.normalizer.ego(observation.ego_features)
        return self.decide(self.features(observation, ego))

    def forward(self, observation: Observation) -> Float[Tensor, "batch 2"]:
        """Actions in physical units, differentiable; sampled, if there is chance, in training."""
        return self.head(self._thought(observation), self.normalizer.action_deviation)

    def surprise(
        self, observation: Observation, action: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, " batch"]:
        """How little an action was expected: negative log-likelihood up to a constant."""
        deviation = self.normalizer.action_deviation
        return self.head.surprise(self._thought(observation), action, deviation)

    @torch.no_grad()
    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """The same without gradients; the surroundings are not looked at."""
        return self(observation)
