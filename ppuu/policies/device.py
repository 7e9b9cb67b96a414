"""Policies whose networks run on another device than the simulator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..perception.observation import Observation
from ..perception.road_map import LocalRoad, RoadMap
from ..perception.surroundings import Surroundings
from ..runtime.pytree import moved
from .base import Policy
from .plan_snapshot import PlanSnapshot

_MOVING = "vehicle", "frame", "boxes", "speed_mps", "visible"
"""Tensors of the surroundings that are moved, so that rows can be selected on the device."""


def to_device(policy: Policy, device: torch.device) -> Policy:
    """The policy with its networks on the device.

    Policies without networks and privileged ones are returned unchanged.
    """
    networks = policy.networks()
    if device.type == "cpu" or policy.privileged or not networks:
        return policy
    for network in networks:
        network.to(device)
    return DevicePolicy(policy, device)


class DevicePolicy(Policy):
    """Moves observations to a device, and actions back.

    Recordings and simulator are not moved: networks do not use them.
    """

    def __init__(self, policy: Policy, device: torch.device):
        self._policy, self._device = policy, device
        self.observation, self.privileged = policy.observation, policy.privileged
        self._source_map: RoadMap | None = None
        self._device_map: RoadMap | None = None

    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """The policy's action."""
        device, road = self._device, observation.road
        if road is not None:
            # The map is large and constant within a recording: move it once.
            if road.road_map is not self._source_map:
                self._source_map, self._device_map = road.road_map, moved(road.road_map, device)
            assert self._device_map is not None
            local = LocalRoad(self._device_map, road.road)
            observation = dataclasses.replace(observation, road=local)
        around = dataclasses.replace(
            surroundings, true_world=None,
            **{name: getattr(surroundings, name).to(device) for name in _MOVING},
        )  # fmt: skip
        return self._policy.act(moved(observation, device), around).to(observation.ego.device)

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        """See the wrapped policy."""
        self._policy.reset(episodes.to(self._device))

    def networks(self) -> list[nn.Module]:
        """See the wrapped policy."""
        return self._policy.networks()

    def planned_path_m(self) -> Float[Tensor, "batch points 2"] | None:
        """See the wrapped policy."""
        return self._policy.planned_path_m()

    def plan_snapshots(self) -> Mapping[int, PlanSnapshot]:
        """See the wrapped policy."""
        return self._policy.plan_snapshots()
