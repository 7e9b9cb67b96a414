"""The reward of the Gymnasium environments: a weighted sum of named terms."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.errors import InputError
from ppuu.kinematics import ActionBounds

from .simulator import StepResult
from .termination import Outcome

DEFAULT_WEIGHTS = {"progress": 0.1, "collision": -10.0, "offroad": -10.0, "comfort": -0.5}
"""A crash costs as much as 100 m of road earn; a second of full braking as much as 5 m."""


def reward_weights(changes: Mapping[str, float] | None) -> dict[str, float]:
    """The default weights with some replaced.

    Raises:
        InputError: a term that does not exist.
    """
    for name in changes or {}:
        if name not in DEFAULT_WEIGHTS:
            near = difflib.get_close_matches(name, DEFAULT_WEIGHTS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(DEFAULT_WEIGHTS)}"
            raise InputError(f"reward: no term '{name}'; {hint}")
    return DEFAULT_WEIGHTS | {name: float(weight) for name, weight in (changes or {}).items()}


def reward_terms(
    result: StepResult, distance_before_m: Float[Tensor, " envs"], bounds: ActionBounds, dt_s: float
) -> dict[str, Float[Tensor, " envs"]]:
    """The terms before weighting, none of them negative; all 0 where nothing moved.

    - ``progress``: metres driven in this step;
    - ``collision``, ``offroad``: 1 at the step that ends the episode so;
    - ``comfort``: squared acceleration along and across, each in units of the largest
      acceleration along, times the step's duration.
    """
    acceleration, curvature = result.action.unbind(-1)
    across = curvature * result.state[:, 3] ** 2
    effort = (acceleration**2 + across**2) / bounds.acceleration_mps2**2
    terms = {
        "progress": result.distance_m - distance_before_m,
        "collision": (result.outcome == Outcome.COLLISION).float(),
        "offroad": (result.outcome == Outcome.OFFROAD).float(),
        "comfort": effort * dt_s,
    }
    return {name: torch.where(result.moved, term, 0.0) for name, term in terms.items()}
