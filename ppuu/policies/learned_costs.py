"""Costs learned from recordings: what a scene costs now, and what driving on from it will cost.

The *cost model* is PPUU's cost predictor: proximity and lane cost of the present, from what is
seen (Henaff et al., 2019, released code).  The *value function* tells what a recorded driver in
the same place would pay over the steps that follow; at the end of a horizon it stands for what
lies beyond.  Both look at the surroundings as policies do, so gradients run to the ego's state.
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
        features: what it looks at: tracks or pixels.
        hidden: width of two fully connected layers.
    """

    features: TracksConfig | PixelsConfig = field(default_factory=TracksConfig)
    hidden: int = 128

    def __post_init__(self):
        if self.hidden < 1:
            raise InputError(f"hidden {self.hidden}: at least 1")

    @property
    def observation(self) -> ObservationConfig:
        """What it sees."""
        return self.features.observation

    def build(self) -> CostModel:
        """Freshly initialised."""
        return CostModel(self)


@dataclass(frozen=True)
class ValueConfig(CostModelConfig):
    """Size of the value function, and what it sums up.

    Attributes:
        features, hidden: as of the cost model.
        steps: costs that are counted, one a stride of the observation.
        discount: of each step against the one before it.
        dt_s: seconds a recorded frame.
    """

    steps: int = 20
    discount: float = 0.97
    dt_s: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if self.steps < 1 or not 0.0 < self.discount <= 1.0:
            raise InputError(
                f"value of {self.steps} steps with discount {self.discount}: at least 1, and a "
                "discount above 0, at most 1"
            )

    def build(self) -> ValueFunction:
        """Freshly initialised."""
        return ValueFunction(self)


class _Judge(nn.Module):
    """Features and two layers; what comes out is never negative."""

    def __init__(self, config: CostModelConfig, outputs: int):
        super().__init__()
        self.config, self.observation = config, config.observation
        self.normalizer = Normalizer(config.observation.frames * 4 + 2)
        self.features = config.features.build()
        self.decide = nn.Sequential(
            nn.Linear(self.features.width, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, outputs),
        )  # fmt: skip

    def judged(self, observation: Observation) -> Float[Tensor, "batch outputs"]:
        """From what is seen; differentiable in the ego's state."""
        ego = self.normalizer.ego(observation.ego_features)
        return functional.softplus(self.decide(self.features(observation, ego)))


class CostModel(_Judge):
    """Names of costs and their values at present.  See the module's text."""

    COSTS = ("proximity", "lane")

    def __init__(self, config: CostModelConfig):
        super().__init__(config, len(self.COSTS))

    def forward(self, observation: Observation) -> dict[str, Float[Tensor, " batch"]]:
        """Unweighted costs."""
        return dict(zip(self.COSTS, self.judged(observation).unbind(-1), strict=True))


class ValueFunction(_Judge):
    """Discounted sum of the driving costs that follow.  See the module's text."""

    config: ValueConfig

    def __init__(self, config: ValueConfig):
        super().__init__(config, 1)

    def forward(self, observation: Observation) -> Float[Tensor, " batch"]:
        """In units of the weighted driving cost of a step."""
        return self.judged(observation)[:, 0]
