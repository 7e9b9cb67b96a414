"""Adapters to the protocols of stable-worldmodel (https://pypi.org/project/stable-worldmodel).

Its solvers call ``get_cost(info, candidates)`` of a *costable* and ``get_action(info, horizon,
prefix_actions)`` of an *actionable* model; ``info`` is a dictionary of tensors whose first axis is
the environment (for costs: environment, then sample).  The package is not imported here.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..perception.observation import Observation
from ..perception.road_map import LocalRoad, RoadMap
from ..prediction_sources import ModelSource
from ..recordings.tracks import Tracks
from .planning_config import PlanningConfig
from .planning_cost import PlanningCost

_TRACKS = ("states", "valid", "size_m", "vehicle")


def to_info(
    observation: Observation, previous_action: Float[Tensor, "batch 2"]
) -> dict[str, Tensor]:
    """An observation as a dictionary of its tensors."""
    info = {
        "images": observation.images, "ego": observation.ego, "size_m": observation.size_m,
        "previous_action": previous_action,
    }  # fmt: skip
    if observation.tracks is not None:
        info |= {f"tracks_{name}": getattr(observation.tracks, name) for name in _TRACKS}
    if observation.road is not None:
        info["road"] = observation.road.road
    return info


class CostableAdapter(nn.Module):
    """A costable model: the planning cost in a world model; actions are in units of their bounds.

    Args:
        source: of predictions.
        road_map: of the roads that ``to_info`` refers to.
        config: costs, samples and risk measure.
    """

    def __init__(self, source: ModelSource, road_map: RoadMap, config: PlanningConfig):
        super().__init__()
        self.source, self.road_map, self.config = source, road_map, config

    def planning_cost(self, info: Mapping[str, Tensor], steps: int) -> PlanningCost:
        """The cost function of our own planners."""
        observation, config = self._observation(info), self.config
        generator = torch.Generator().manual_seed(config.seed)
        prediction = self.source.predict_from(observation, steps, config.samples, generator)
        return PlanningCost(
            observation, info["previous_action"], prediction, None, config,
            self.source.frames_per_step, self.source.dt_s,
        )  # fmt: skip

    def get_cost(
        self,
        info_dict: Mapping[str, Tensor],
        action_candidates: Float[Tensor, "batch candidates steps actions"],
    ) -> Float[Tensor, "batch candidates"]:
        """Costs of candidates; an action block is a sequence of steps."""
        actions = action_candidates.unflatten(-1, (-1, 2)).flatten(2, 3).clamp(-1.0, 1.0)
        # All samples of an environment have the same info.
        info = {name: value[:, 0] for name, value in info_dict.items()}
        return self.planning_cost(info, actions.shape[2])(actions)

    def criterion(
        self,
        info_dict: Mapping[str, Tensor],
        action_candidates: Float[Tensor, "batch candidates steps actions"],
    ) -> Float[Tensor, "batch candidates"]:
        """The same as ``get_cost``: our costs are not distances to a goal."""
        return self.get_cost(info_dict, action_candidates)

    def _observation(self, info: Mapping[str, Tensor]) -> Observation:
        tracks = road = None
        if "tracks_states" in info:
            tracks = Tracks(*(info[f"tracks_{name}"] for name in _TRACKS))
        if "road" in info:
            road = LocalRoad(self.road_map, info["road"])
        return Observation(info["images"], info["ego"], info["size_m"], tracks, road)


class ActionableAdapter(CostableAdapter):
    """An actionable model, with our own planner as the actor."""

    def get_action(
        self,
        info: Mapping[str, Tensor],
        horizon: int = 1,
        prefix_actions: Float[Tensor, "batch before 2"] | None = None,
    ) -> Float[Tensor, "batch 2"] | Float[Tensor, "batch horizon 2"]:
        """Actions of our planner for ``horizon`` steps after a fixed prefix."""
        # Some solvers call this in inference mode, which excludes gradients.
        with torch.inference_mode(False):
            info = {name: value.clone() for name, value in info.items()}
            prefix = info["ego"].new_zeros(len(info["ego"]), 0, 2)
            if prefix_actions is not None:
                prefix = prefix_actions.clone()
            plan = self._plan(info, horizon, prefix)
        return plan[:, 0] if horizon == 1 else plan

    def _plan(
        self, info: Mapping[str, Tensor], horizon: int, prefix: Float[Tensor, "batch before 2"]
    ) -> Float[Tensor, "batch horizon 2"]:
        cost = self.planning_cost(info, prefix.shape[1] + horizon)

        def cost_after_prefix(actions: Float[Tensor, "batch candidates horizon 2"]) -> Tensor:
            before = prefix[:, None].expand(-1, actions.shape[1], -1, -1)
            return cost(torch.cat([before, actions], dim=2))

        starts = prefix.new_zeros(len(prefix), 1, horizon, 2)
        generator = torch.Generator().manual_seed(self.config.seed)
        return self.config.planner.plan(cost_after_prefix, starts, generator).actions
