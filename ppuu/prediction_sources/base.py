"""The interface between planning policies and what predicts the surroundings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..predictions import Prediction
from ..runtime.errors import InputError
from ..world_models.spec import HasSpec

PredictionFunction = Callable[
    [Float[Tensor, "batch candidates time 4"], Float[Tensor, "batch candidates time 2"]],
    Prediction,
]
"""From the ego's states and actions to the predicted surroundings."""


class PredictionSource(HasSpec, ABC):
    """Predicts the surroundings in which a planner evaluates action sequences.

    Attributes:
        spec: its input and its step.
        privileged: whether it reads the simulator's true state.
    """

    privileged: ClassVar[bool] = True

    @property
    def conditioned_on_ego(self) -> bool:
        """Whether predictions depend on the ego's path."""
        return self.spec.conditioned_on_ego

    @abstractmethod
    def predict(
        self,
        observation: Observation,
        privileged_state: PrivilegedState,
        steps: int,
        samples: int,
        generator: torch.Generator,
    ) -> PredictionFunction:
        """The surroundings from now on, as a function of the ego's path.

        Args:
            observation: the ego's observation.
            privileged_state: the simulator's true state; only privileged sources read it.
            steps: number of planned steps.
            samples: futures of each history.
            generator: of their noise, which all histories share, so that a prediction does not
                depend on the rest of the batch.
        """

    def networks(self) -> list[nn.Module]:
        """The networks it computes with, if it is learned."""
        return []

    def replicas(
        self, observation: Observation, steps: int, count: int, generator: torch.Generator
    ) -> PredictionFunction:
        """One sample, as predicted by ``count`` replicas of the model.

        Raises:
            InputError: the source is not learned, so it has no replicas.
        """
        raise InputError(
            f"{type(self).__name__} is not a learned model, so it has no replicas to disagree; "
            "plan with uncertainty_weight=0 or with a world model"
        )


def unconditioned(prediction: Prediction) -> PredictionFunction:
    """The same prediction for every path of the ego."""

    def function(
        states: Float[Tensor, "batch candidates time 4"],
        actions: Float[Tensor, "batch candidates time 2"],
    ) -> Prediction:
        return prediction

    return function
