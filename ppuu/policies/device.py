"""Policies whose networks run on another device than the simulator."""

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

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """As the policy acts."""
        device, road = self._device, observation.road
        if road is not None:
            # The map is large and constant within a recording: move it once.
            if road.road_map is not self._source_map:
                self._source_map, self._device_map = road.road_map, moved(road.road_map, device)
            assert self._device_map is not None
            local = LocalRoad(self._device_map, road.road)
            observation = dataclasses.replace(observation, road=local)
        around = dataclasses.replace(
            privileged_state, traffic_probe=None,
            **{name: getattr(privileged_state, name).to(device) for name in _MOVING},
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
