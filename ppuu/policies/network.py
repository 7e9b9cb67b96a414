"""A policy that was learnt: features of what is seen, two layers that decide, an action."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..kinematics import ActionBounds
from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..perception.privileged_state import PrivilegedState
from ..runtime.errors import InputError
from ..world_models import PAPER, WorldModel
from .base import Policy
from .features import FeaturesConfig, PixelsConfig, TracksConfig
from .heads import head


@dataclass(frozen=True)
class NetworkPolicyConfig:
    """Size of the policy network.

    Attributes:
        features: what it looks at: tracks, pixels, or a world model's embedding.
        hidden: width of the two fully connected layers (PPUU: 256).
        components: 0 for one action; 1 for a Gaussian of actions; more for a mixture of Gaussians.
        bounds: largest actions; the output is a tanh of this size.
        lateral_mps2: largest lateral acceleration. It bounds the curvature the more the faster one
            drives, so that the same output means much the same at any speed.
    """

    features: FeaturesConfig = field(default_factory=TracksConfig)
    hidden: int = 128
    components: int = 0
    bounds: ActionBounds = field(default_factory=ActionBounds)
    lateral_mps2: float = 6.0

    def __post_init__(self):
        if self.hidden < 1 or self.components < 0 or not 0 < self.lateral_mps2 < math.inf:
            raise InputError(
                f"a policy of hidden {self.hidden}, components {self.components} and lateral_mps2 "
                f"{self.lateral_mps2}: at least 1 and 0, and positive"
            )

    @property
    def observation(self) -> ObservationConfig:
        """What it sees."""
        return self.features.observation

    def require_world(self, model: WorldModel, who: str) -> None:
        """Refuses a world model in which such a policy cannot be unrolled.

        Raises:
            InputError: it shows other images, or none of the tracks the policy looks at; names
                ``who``.
        """
        if not self.observation.fits(model.observation):
            raise InputError(
                f"{who} looks at {self.observation}, which differs from what the world model was "
                f"trained with: {model.observation}"
            )
        if self.observation.vehicles and not model.observation.vehicles:
            raise InputError(
                f"{who} looks at tracks, but the world model predicts images; choose a policy on "
                "pixels (--preset pixels)"
            )

    def build(self) -> NetworkPolicy:
        """A freshly initialised policy; its first actions are zero."""
        return NetworkPolicy(self)


PAPER_POLICY = NetworkPolicyConfig(
    PixelsConfig(PAPER.observation, (64, 128, 256), shows_ego=True), hidden=256
)
"""The published widths, for the coupled model of the published size."""


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

    def _largest(self, observation: Observation) -> Float[Tensor, "batch 2"]:
        """Actions that the bounds allow at the present speed."""
        speed = observation.ego[:, -1, 3]
        acceleration, curvature = self.config.bounds.largest(speed)
        possible = self.config.lateral_mps2 / speed.square().clamp(min=1e-6)
        return torch.stack(
            [acceleration.expand_as(speed), torch.minimum(curvature, possible)], dim=-1
        )

    def forward(
        self, observation: Observation, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch 2"]:
        """Actions in physical units, differentiable.

        Args:
            observation: what is seen.
            generator: draws the actions of a stochastic policy; without one they are the likeliest.
        """
        deviation = self.normalizer.action_std
        return self.head(
            self._thought(observation), self._largest(observation), deviation, generator
        )

    def surprise(
        self, observation: Observation, action: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, " batch"]:
        """How little an action was expected: negative log-likelihood up to a constant."""
        return self.head.surprise(
            self._thought(observation), action, self._largest(observation),
            self.normalizer.action_std,
        )  # fmt: skip

    def networks(self) -> list[nn.Module]:
        """Itself."""
        return [self]

    @torch.no_grad()
    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The same without gradients; the surroundings are not looked at."""
        return self(observation)
