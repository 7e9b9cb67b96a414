"""What a planner's policy asks of a world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from ..observation import Observation, ObservationConfig
from ..policies.base import Surroundings
from ..rollout import Futures
from ..track_futures import TrackFutures

Foresight = Callable[
    [Float[Tensor, "rows time 4"], Float[Tensor, "rows time 2"]], Futures | TrackFutures
]
"""Surroundings along paths and actions of the ego; a history's candidates are rows in a row."""


class World(ABC):
    """Where action sequences are tried out.

    Attributes:
        observation: the history it wants to see.
        frames_per_step: recorded frames a planned step spans.
        dt_s: seconds a recorded frame.
    """

    observation: ObservationConfig
    frames_per_step: int
    dt_s: float

    @abstractmethod
    def foresee(
        self,
        observation: Observation,
        surroundings: Surroundings,
        steps: int,
        futures: int,
        generator: torch.Generator,
    ) -> Foresight:
        """What will surround the ego from here on.

        Args:
            observation: what the ego has seen.
            surroundings: the simulator's true state; only privileged worlds look at it.
            steps: how far, in planned steps.
            futures: alternatives for each history.
            generator: of their chances, shared by all histories, so that what one may expect does
                not depend on who else is in the batch.
        """

    def replicas(self, observation: Observation, steps: int, count: int) -> Foresight:
        """One future as ``count`` replicas of what has been learnt foresee it.

        Raises:
            InputError: nothing was learnt here, so nobody disagrees.
        """
        raise InputError(
            f"{type(self).__name__} has learnt nothing that replicas could disagree about; "
            "plan with uncertainty_weight=0 or in a world model"
        )


def for_candidates(told: Futures | TrackFutures, batch: int) -> Foresight:
    """Futures that do not depend on the ego: one set serves all candidates of a history."""
    repeated = {batch: told}

    def foresight(
        states: Float[Tensor, "rows time 4"], actions: Float[Tensor, "rows time 2"]
    ) -> Futures | TrackFutures:
        rows = len(states)
        if rows not in repeated:
            repeated[rows] = told.repeat(rows // batch)
        return repeated[rows]

    return foresight
