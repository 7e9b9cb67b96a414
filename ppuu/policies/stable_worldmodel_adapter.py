"""Our models behind the two protocols of stable-worldmodel (https://pypi.org/project/stable-worldmodel).

Its solvers ask a *costable* model for ``get_cost(info, candidates)`` and an *actionable* one for
``get_action(info, horizon, prefix_actions)``; information is a dictionary of tensors with the
environments in front (for costs: environments, then samples).  Nothing of it is imported here.
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

_TRACKS = ("states", "present", "size_m", "vehicle")


def information(
    observation: Observation, previous_action: Float[Tensor, "batch 2"]
) -> dict[str, Tensor]:
    """An observation as a dictionary of tensors; only what is there."""
    info = {
        "images": observation.images, "ego": observation.ego, "size_m": observation.size_m,
        "previous_action": previous_action,
    }  # fmt: skip
    if observation.tracks is not None:
        info |= {f"tracks_{name}": getattr(observation.tracks, name) for name in _TRACKS}
    if observation.road is not None:
        info["road"] = observation.road.road
    return info


class CostableModel(nn.Module):
    """A world model whose plans others can search; actions are in units of their bounds.

    Args:
        source: what is planned in.
        road_map: of the roads that ``information`` numbers.
        config: costs, samples and how they are merged.
    """

    def __init__(self, source: ModelSource, road_map: RoadMap, config: PlanningConfig):
        super().__init__()
        self.source, self.road_map, self.config = source, road_map, config

    def cost_of(self, info: Mapping[str, Tensor], steps: int) -> PlanningCost:
        """What our own planners would lower."""
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
        """Costs of candidates; several actions in one (an action block) are steps in a row."""
        actions = action_candidates.unflatten(-1, (-1, 2)).flatten(2, 3).clamp(-1.0, 1.0)
        # All samples of an environment come with the same information.
        info = {name: value[:, 0] for name, value in info_dict.items()}
        return self.cost_of(info, actions.shape[2])(actions)

    def criterion(
        self,
        info_dict: Mapping[str, Tensor],
        action_candidates: Float[Tensor, "batch candidates steps actions"],
    ) -> Float[Tensor, "batch candidates"]:
        """The same: our costs are no distance to a goal that a rollout would be compared with."""
        return self.get_cost(info_dict, action_candidates)

    def _observation(self, info: Mapping[str, Tensor]) -> Observation:
        tracks = road = None
        if "tracks_states" in info:
            tracks = Tracks(*(info[f"tracks_{name}"] for name in _TRACKS))
        if "road" in info:
            road = LocalRoad(self.road_map, info["road"])
        return Observation(info["images"], info["ego"], info["size_m"], tracks, road)


class ActionableModel(CostableModel):
    """The same, with our own planner as the actor that their solvers begin with."""

    def get_action(
        self,
        info: Mapping[str, Tensor],
        horizon: int = 1,
        prefix_actions: Float[Tensor, "batch before 2"] | None = None,
    ) -> Float[Tensor, "batch 2"] | Float[Tensor, "batch horizon 2"]:
        """What our planner would do for ``horizon`` steps, after a prefix that stands."""
        # Some solvers ask in inference mode, in which nothing could be differentiated.
        with torch.inference_mode(False):
            info = {name: value.clone() for name, value in info.items()}
            prefix = info["ego"].new_zeros(len(info["ego"]), 0, 2)
            if prefix_actions is not None:
                prefix = prefix_actions.clone()
            found = self._planned(info, horizon, prefix)
        return found[:, 0] if horizon == 1 else found

    def _planned(
        self, info: Mapping[str, Tensor], horizon: int, prefix: Float[Tensor, "batch before 2"]
    ) -> Float[Tensor, "batch horizon 2"]:
        cost = self.cost_of(info, prefix.shape[1] + horizon)

        def after(actions: Float[Tensor, "batch candidates horizon 2"]) -> Tensor:
            before = prefix[:, None].expand(-1, actions.shape[1], -1, -1)
            return cost(torch.cat([before, actions], dim=2))

        starts = prefix.new_zeros(len(prefix), 1, horizon, 2)
        generator = torch.Generator().manual_seed(self.config.seed)
        return self.config.planner.plan(after, starts, generator).actions
