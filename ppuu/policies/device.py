"""Networks that compute on another device than the one the simulator runs on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..perception.road_map import LocalRoad, RoadMap
from ..runtime.pytree import moved
from .base import Policy
from .plan_snapshot import PlanSnapshot

_MOVING = "vehicle", "frame", "boxes", "speed_mps", "valid"
"""Tensors of the privileged state that move with it, so that rows of them can be taken there."""


def to_device(policy: Policy, device: torch.device) -> Policy:
    """The same driver with its networks there.

    One without any stays where it is, and so does a privileged one, which looks at what lies beside
    the simulator.
    """
    networks = policy.networks()
    if device.type == "cpu" or policy.privileged or not networks:
        return policy
    for network in networks:
        network.to(device)
    return DevicePolicy(policy, device)


class DevicePolicy(Policy):
    """Takes what is seen to a device, and the actions back.

    The recordings and the simulator stay behind: networks do not look at them.
    """

    def __init__(self, policy: Policy, device: torch.device):
        self._policy, self._device = policy, device
        self.observation, self.privileged = policy.observation, policy.privileged
        self._map_here: RoadMap | None = None
        self._map_there: RoadMap | None = None

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """As the policy acts."""
        there, road = self._device, observation.road
        if road is not None:
            # The map is large, and stays the same for as long as a recording is driven in.
            if road.road_map is not self._map_here:
                self._map_here, self._map_there = road.road_map, moved(road.road_map, there)
            assert self._map_there is not None
            here = LocalRoad(self._map_there, road.road)
            observation = dataclasses.replace(observation, road=here)
        around = dataclasses.replace(
            privileged_state, traffic_probe=None,
            **{name: getattr(privileged_state, name).to(there) for name in _MOVING},
        )  # fmt: skip
        return self._policy.act(moved(observation, there), around).to(observation.ego.device)

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        """As the policy's."""
        self._policy.reset(episodes.to(self._device))

    def networks(self) -> list[nn.Module]:
        """As the policy's."""
        return self._policy.networks()

    def planned_path_m(self) -> Float[Tensor, "batch points 2"] | None:
        """As the policy's."""
        return self._policy.planned_path_m()

    def plan_snapshots(self) -> Mapping[int, PlanSnapshot]:
        """As the policy's."""
        return self._policy.plan_snapshots()
