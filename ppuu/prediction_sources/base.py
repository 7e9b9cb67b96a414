"""What a planner's policy asks of a source of predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..perception.observation import Observation, ObservationConfig
from ..perception.surroundings import Surroundings
from ..predictions import Prediction
from ..runtime.errors import InputError

PredictionFunction = Callable[
    [Float[Tensor, "batch candidates time 4"], Float[Tensor, "batch candidates time 2"]],
    Prediction,
]
"""What surrounds paths and actions of the ego."""


class PredictionSource(ABC):
    """Where action sequences are tried out.

    Attributes:
        observation: the history it wants to see.
        frames_per_step: recorded frames a planned step spans.
        dt_s: seconds a recorded frame.
        privileged: whether it looks at what lies beside the simulator.
    """

    observation: ObservationConfig
    frames_per_step: int
    dt_s: float
    privileged: ClassVar[bool] = True

    @property
    def conditioned_on_ego(self) -> bool:
        """Whether what it predicts depends on the ego's path."""
        return False

    @abstractmethod
    def predict(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """What will surround the ego from here on.

        Args:
            observation: what the ego has seen.
            surroundings: the simulator's true state; only privileged sources look at it.
            steps: how far, in planned steps.
            samples: alternatives for each history.
            generator: of their chances, shared by all histories, so that what one may expect does
                not depend on who else is in the batch.
        """

    def networks(self) -> list[nn.Module]:
        """What it computes with, if anything was learned."""
        return []

    def replicas(
        self, observation: Observation, steps: int, count: int, generator: torch.Generator
    ) -> PredictionFunction:
        """One sample as ``count`` replicas of what has been learned predict it.

        Raises:
            InputError: nothing was learned here, so no replicas disagree.
        """
        raise InputError(
            f"{type(self).__name__} has learned nothing that replicas could disagree about; "
            "plan with uncertainty_weight=0 or in a world model"
        )


def unconditioned(prediction: Prediction) -> PredictionFunction:
    """A prediction that does not depend on the ego: one serves all candidates of a history."""

    def function(
        states: Float[Tensor, "batch candidates time 4"],
        actions: Float[Tensor, "batch candidates time 2"],
    ) -> Prediction:
        return prediction

    return function
