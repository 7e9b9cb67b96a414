"""The driving cost of the true scene."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from envs.core.simulator import Simulator
from ppuu.costs import DrivingCost
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import LocalRoad
from ppuu.predictions import BoxPrediction, Rollout


def driving_costs(
    simulator: Simulator, previous_action: Float[Tensor, "envs 2"]
) -> dict[str, Float[Tensor, " envs"]]:
    """The weighted terms of the default driving cost at the present states, by name.

    Nothing is predicted: the other vehicles are where they are.

    Args:
        simulator: its ``action`` led to the present states.
        previous_action: the action before that one.
    """
    others, ego = simulator.neighbours(), simulator.state[:, None, None]
    states = torch.cat([others.boxes[..., :3], others.speed_mps[..., None]], dim=-1)
    prediction = BoxPrediction(
        ego[..., :3], RasterConfig(), states[:, None, None, None], others.boxes[..., 3:],
        others.valid, LocalRoad(simulator.road_map, simulator.road),
    )  # fmt: skip
    rollout = Rollout(
        ego, simulator.action[:, None, None], previous_action[:, None], simulator.size_m,
        prediction, simulator.scene.dt_s,
    )  # fmt: skip
    cost = DrivingCost()
    terms, values = cost.terms(), cost.evaluate(rollout).terms
    return {name: terms[name].weight * value[:, 0, 0] for name, value in values.items()}
