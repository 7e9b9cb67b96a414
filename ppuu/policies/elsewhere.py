"""Networks that compute on another device than the one the simulator runs on."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..observation import Observation, ObservationConfig
from ..raster import LocalRoad, RoadMap
from ..worlds import PredictedWorld
from .base import Policy, Surroundings
from .planning import PlanningPolicy

Nest = TypeVar("Nest")

_MOVING = "vehicle", "frame", "boxes", "speed_mps", "visible"
"""Tensors of the surroundings that go along, so that rows of them can be taken there."""


def networks_of(policy: Policy) -> list[nn.Module]:
    """What a driver computes with: itself, or the learnt world and policy that its plans ask."""
    parts: list[object] = [policy]
    if isinstance(policy, PlanningPolicy):
        world = policy.world
        parts = [policy.seed, world.predictor if isinstance(world, PredictedWorld) else None]
    return [part for part in parts if isinstance(part, nn.Module)]


def computing_on(policy: Policy, device: torch.device) -> Policy:
    """The same driver with its networks there.

    One without any stays where it is, and so does who plans in a privileged world, which lies
    beside the simulator.
    """
    privileged = isinstance(policy, PlanningPolicy) and not isinstance(policy.world, PredictedWorld)
    networks = networks_of(policy)
    if device.type == "cpu" or privileged or not networks:
        return policy
    for network in networks:
        network.to(device)
    return _Elsewhere(policy, device)


def moved(nest: Nest, device: torch.device | str) -> Nest:
    """A nest of dataclasses with all of its tensors on a device."""
    if isinstance(nest, Tensor):
        return nest.to(device)  # pyright: ignore[reportReturnType]
    if not dataclasses.is_dataclass(nest) or isinstance(nest, type):
        return nest
    parts = {one.name: getattr(nest, one.name) for one in dataclasses.fields(nest)}
    return dataclasses.replace(nest, **{name: moved(part, device) for name, part in parts.items()})


class _Elsewhere(Policy):
    """Takes what is seen there, and the actions back.

    The recordings and the simulator stay behind: networks do not look at them.
    """

    def __init__(self, policy: Policy, device: torch.device):
        self._policy, self._device = policy, device
        self.observation: ObservationConfig | None = policy.observation
        self._map_here: RoadMap | None = None
        self._map_there: RoadMap | None = None

    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        there, road = self._device, observation.road
        if road is not None:
            # The map is large, and stays the same for as long as a recording is driven in.
            if road.road_map is not self._map_here:
                self._map_here, self._map_there = road.road_map, moved(road.road_map, there)
            assert self._map_there is not None
            here = LocalRoad(self._map_there, road.road)
            observation = dataclasses.replace(observation, road=here)
        around = dataclasses.replace(
            surroundings, true_world=None,
            **{name: getattr(surroundings, name).to(there) for name in _MOVING},
        )  # fmt: skip
        return self._policy.act(moved(observation, there), around).to(observation.ego.device)

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        self._policy.reset(episodes.to(self._device))
