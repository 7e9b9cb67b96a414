"""Drivers of a scene: each vehicle follows others with IDM parameters of its own.

Nothing is read from later than a vehicle's appearance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.driving.drivers import draw_drivers
from ppuu.driving.idm import IdmParameters, idm_acceleration
from ppuu.driving.lorries import LORRY_LENGTH_M
from ppuu.recordings.lanes import NO_LANE, LaneField
from ppuu.recordings.scene import Scene

from .population import MIXED, Manners, Population

HARDEST_BRAKING_MPS2 = 7.5
"""Limit of the vehicle, whoever drives it."""

_PREVAILING_PERCENTILE = 98.0
"""Of 95 and 98 the one with which mean speeds of generated traffic (seed 1) are nearer."""
_FEWEST_APPEARANCES = 5
"""Where fewer vehicles appear in a lane, those in all lanes of the recording are taken."""
_SLOWEST_MPS, _FASTEST_MPS = 5.0, 40.0
"""Limits of desired speeds: in a queue all may stand; above the upper one speeds are noise."""


@dataclass(frozen=True, eq=False)
class Drivers:
    """Car-following and manners of several drivers.

    Attributes:
        parameters: one row for each of ``IdmParameters``, and the assertiveness.
    """

    parameters: Float[Tensor, "6 *batch"]

    @classmethod
    def draw(
        cls,
        scene: Scene,
        field: LaneField,
        names: Sequence[str],
        population: Population = MIXED,
    ) -> Drivers:
        """The drivers of a scene's vehicles, from the joint distribution of fitted drivers.

        The source of randomness of each recording is seeded by its name, so that a vehicle has
        the same driver in every scene.  No driver desires more than the prevailing speed of the
        lane where its vehicle appears, nor less than the speed at which it appears.

        Args:
            scene: the recordings.
            field: the lanes of their roads, in the same order.
            names: of the recordings, in the same order.
            population: scales the fitted headways, and determines the manners.
        """
        is_lorry = (scene.size_m[:, 0] > LORRY_LENGTH_M).cpu().numpy()
        per_recording = np.split(is_lorry, scene.vehicle_offset[1:-1].tolist())
        drawn = [
            draw_drivers(np.random.default_rng([*name.encode()]), lorries)
            for name, lorries in zip(names, per_recording, strict=True)
        ]
        desired, headway, jam_gap, acceleration, deceleration = np.concatenate(drawn, axis=1)
        appears_mps = scene.states[scene.row_pointer[:-1], 3].cpu().numpy()
        desired = np.minimum(desired, prevailing_speed_mps(scene, field))
        desired = np.maximum(desired, appears_mps).clip(_SLOWEST_MPS, _FASTEST_MPS)
        assertiveness = population.assertiveness(headway)
        headway = headway * population.headway
        rows = (desired, headway, jam_gap, acceleration, deceleration, assertiveness)
        return cls(torch.as_tensor(np.stack(rows)).to(scene.states))

    def of(self, vehicle: Int[Tensor, "*vehicles"]) -> Drivers:
        """The drivers of some of the scene's vehicles."""
        # Several times as fast as indexing.
        columns = self.parameters.index_select(1, vehicle.flatten())
        return Drivers(columns.view(-1, *vehicle.shape))

    def __getitem__(self, index: Any) -> Drivers:
        """Some of the drivers; the index is one into the batch axes."""
        parts = index if isinstance(index, tuple) else (index,)
        return Drivers(self.parameters[(slice(None), *parts)])

    def with_headway(self, factor: Float[Tensor, "*#batch"]) -> Drivers:
        """The same drivers with scaled time headways."""
        desired, headway, *others = self.parameters
        return Drivers(torch.stack([desired, headway * factor, *others]))

    @property
    def idm(self) -> IdmParameters:
        """The parameters by name."""
        return IdmParameters(*self.parameters[:-1])

    @property
    def manners(self) -> Manners:
        """How they deal with others."""
        return Manners(self.parameters[-1])

    def acceleration_mps2(
        self,
        speed_mps: Float[Tensor, "*#batch"],
        gap_m: Float[Tensor, "*#batch"],
        leader_speed_mps: Float[Tensor, "*#batch"],
    ) -> Float[Tensor, "..."]:
        """Of IDM, within the limit of the vehicle.

        Args:
            speed_mps: own speed.
            gap_m: bumper to bumper, inf without a leader.
            leader_speed_mps: any finite value without a leader.
        """
        acceleration = idm_acceleration(self.idm, speed_mps, gap_m, leader_speed_mps)
        return acceleration.clamp(min=-HARDEST_BRAKING_MPS2)


def prevailing_speed_mps(scene: Scene, field: LaneField) -> Float[np.ndarray, " vehicles"]:
    """Prevailing speed of the lane in which each vehicle appears, an estimate of its limit.

    It is the 98th percentile of the speeds at which all vehicles of the recording appear in that
    lane: a property of the road at the time of the recording, for which nothing of how a vehicle
    went on is needed.
    """
    x, y, _, speed = scene.states[scene.row_pointer[:-1]].unbind(1)
    recording = scene.vehicle_recording
    lane = field.look_up(x, y, recording).lane.cpu().numpy()
    recording, speed = recording.cpu().numpy(), speed.cpu().numpy()
    prevailing = np.empty_like(speed)
    for vehicles in _groups(recording):
        prevailing[vehicles] = np.percentile(speed[vehicles], _PREVAILING_PERCENTILE)
        for part in _groups(lane[vehicles]):
            same = vehicles[part]
            if lane[same[0]] != NO_LANE and len(same) >= _FEWEST_APPEARANCES:
                prevailing[same] = np.percentile(speed[same], _PREVAILING_PERCENTILE)
    return prevailing


def _groups(key: np.ndarray) -> list[np.ndarray]:
    """Indices of the elements of equal key."""
    order = key.argsort(kind="stable")
    return np.split(order, np.flatnonzero(np.diff(key[order])) + 1)
