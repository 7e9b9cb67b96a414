"""Costs learned from recordings: current costs and value functions.

The *cost model* is PPUU's cost predictor: current proximity and lane cost from an observation
(Henaff et al., 2019, released code).  The *value function* predicts the discounted sum of the costs
of the recorded driver over the following steps; it is the terminal cost of a finite horizon.  Both
use the features of policies and are differentiable with respect to the ego's state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..perception.observation import Normalizer, Observation, ObservationConfig
from ..runtime.errors import InputError
from .features import PixelsConfig, TracksConfig


@dataclass(frozen=True)
class CostModelConfig:
    """Size of the cost model.

    Attributes:
        features: of tracks or of pixels.
        hidden: width of two fully connected layers.
    """

    features: TracksConfig | PixelsConfig = field(default_factory=TracksConfig)
    hidden: int = 128

    def __post_init__(self):
        if self.hidden < 1:
            raise InputError(f"cost model: hidden {self.hidden} must be at least 1")

    @property
    def observation(self) -> ObservationConfig:
        """Its input."""
        return self.features.observation

    def build(self) -> CostModel:
        """A newly initialised network."""
        return CostModel(self)


@dataclass(frozen=True)
class ValueConfig(CostModelConfig):
    """Size of the value function, and its target.

    Attributes:
        features, hidden: see ``CostModelConfig``.
        steps: number of costs, one for each stride of the observation.
        discount: factor per step.
        dt_s: seconds between frames.
    """

    steps: int = 20
    discount: float = 0.97
    dt_s: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if self.steps < 1 or not 0.0 < self.discount <= 1.0:
            raise InputError(
                f"value function: steps {self.steps} must be at least 1, discount {self.discount} "
                "above 0 and at most 1"
            )

    def build(self) -> ValueFunction:
        """A newly initialised network."""
        return ValueFunction(self)


class CostRegressor(nn.Module):
    """Features and an MLP with non-negative outputs."""

    def __init__(self, config: CostModelConfig, outputs: int):
        super().__init__()
        self.config, self.observation = config, config.observation
        self.normalizer = Normalizer(config.observation.frames * 4 + 2)
        self.features = config.features.build()
        self.mlp = nn.Sequential(
            nn.Linear(self.features.width, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, outputs),
        )  # fmt: skip

    def regress(self, observation: Observation) -> Float[Tensor, "batch outputs"]:
        """Non-negative outputs, differentiable with respect to the ego's state."""
        ego = self.normalizer.ego(observation.ego_features)
        return functional.softplus(self.mlp(self.features(observation, ego)))


class CostModel(CostRegressor):
    """Regression of the current costs; see the module's docstring."""

    COSTS = ("proximity", "lane")

    def __init__(self, config: CostModelConfig):
        super().__init__(config, len(self.COSTS))

    def forward(self, observation: Observation) -> dict[str, Float[Tensor, " batch"]]:
        """Unweighted costs by name."""
        return dict(zip(self.COSTS, self.regress(observation).unbind(-1), strict=True))


class ValueFunction(CostRegressor):
    """Discounted sum of the following driving costs; see the module's docstring."""

    config: ValueConfig

    def __init__(self, config: ValueConfig):
        super().__init__(config, 1)

    def forward(self, observation: Observation) -> Float[Tensor, " batch"]:
        """In units of the weighted driving cost of one step."""
        return self.regress(observation)[:, 0]
