"""Neural network policies: features of the observation, an MLP and an action head."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..kinematics import ActionBounds
from ..perception.goal import GOAL_FEATURES, goal_features
from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..perception.privileged_state import PrivilegedState
from ..runtime.errors import InputError
from ..world_models import PAPER, WorldModel
from .base import Policy
from .features import FeaturesConfig, PixelsConfig, TracksConfig
from .heads import ActionScale, build_head


@dataclass(frozen=True)
class NetworkPolicyConfig:
    """Size of the policy network.

    Attributes:
        features: of tracks, of pixels, or of a world model's embedding.
        hidden: width of the two fully connected layers (PPUU: 256).
        components: of the action distribution: 0 for a deterministic policy, 1 for a Gaussian,
            more for a mixture of Gaussians.
        bounds: of the actions, a scaled tanh.
        lateral_mps2: largest lateral acceleration, which bounds the curvature at higher speeds.
        goal: whether it reads which lane to be in; without, it drives on in any.
    """

    features: FeaturesConfig = field(default_factory=TracksConfig)
    hidden: int = 128
    components: int = 0
    bounds: ActionBounds = field(default_factory=ActionBounds)
    lateral_mps2: float = 6.0
    goal: bool = False

    def __post_init__(self):
        if self.hidden < 1 or self.components < 0 or not 0 < self.lateral_mps2 < math.inf:
            raise InputError(
                f"policy: hidden {self.hidden} must be at least 1, components {self.components} at "
                f"least 0, lateral_mps2 {self.lateral_mps2} positive"
            )

    @property
    def observation(self) -> ObservationConfig:
        """Its input."""
        return self.features.observation

    def require_world(self, model: WorldModel, who: str) -> None:
        """Checks that such a policy can be unrolled in a world model.

        Raises:
            InputError: the model's images differ, or it predicts no tracks although the policy
                needs them; names ``who``.
        """
        if not self.observation.fits(model.observation):
            raise InputError(
                f"{who} observes {self.observation}, the world model {model.observation}; choose "
                "equal observations"
            )
        if self.observation.vehicles and not model.observation.vehicles:
            raise InputError(
                f"{who} observes tracks, but the world model predicts images; choose a policy on "
                "pixels (--preset pixels)"
            )

    def build(self) -> NetworkPolicy:
        """A newly initialised policy; its first actions are zero."""
        return NetworkPolicy(self)


PAPER_POLICY = NetworkPolicyConfig(
    PixelsConfig(PAPER.observation, (64, 128, 256), draw_ego=True), hidden=256
)
"""The published architecture, for the coupled world model of the published size."""


class NetworkPolicy(nn.Module, Policy):
    """A policy as a neural network; see the module's docstring."""

    def __init__(self, config: NetworkPolicyConfig):
        super().__init__()
        self.config, self.observation = config, config.observation
        self.normalizer = Normalizer(config.observation.frames * 4 + 2)
        self.features = config.features.build()
        width = self.features.width + (GOAL_FEATURES if config.goal else 0)
        self.mlp = nn.Sequential(
            nn.Linear(width, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, config.hidden), nn.ReLU(),
        )  # fmt: skip
        self.head = build_head(config.hidden, config.bounds, config.components)

    def _hidden(self, observation: Observation) -> Float[Tensor, "batch hidden"]:
        ego = self.normalizer.ego(observation.ego_features)
        features = self.features(observation, ego)
        if self.config.goal:
            goal = goal_features(observation.goal, observation.ego[:, -1])
            features = torch.cat([features, goal], dim=1)
        return self.mlp(features)

    def _scale(self, observation: Observation) -> ActionScale:
        """Bounds of the actions at the current speed, and the experts' standard deviation."""
        speed = observation.ego[:, -1, 3]
        acceleration, curvature = self.config.bounds.largest(speed)
        max_curvature = self.config.lateral_mps2 / speed.square().clamp(min=1e-6)
        max_action = torch.stack(
            [acceleration.expand_as(speed), torch.minimum(curvature, max_curvature)], dim=-1
        )
        return ActionScale(max_action, self.normalizer.action_std)

    def forward(
        self, observation: Observation, generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch 2"]:
        """Actions in physical units, differentiable.

        Args:
            observation: of a batch.
            generator: for samples of a stochastic policy; without one, the most likely actions.
        """
        return self.head(self._hidden(observation), self._scale(observation), generator)

    def negative_log_likelihood(
        self, observation: Observation, action: Float[Tensor, "batch 2"]
    ) -> Float[Tensor, " batch"]:
        """Negative log-likelihood of an action in nats, up to a constant."""
        return self.head.negative_log_likelihood(
            self._hidden(observation), action, self._scale(observation)
        )

    def networks(self) -> list[nn.Module]:
        """The policy itself."""
        return [self]

    @torch.no_grad()
    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The same without gradients; the privileged state is not used."""
        return self(observation)
