"""Which lane a vehicle is in, and lane keeping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.clips.events import row_events
from ppuu.recordings.lanes import LaneField
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road

from .drives import Drives

_CONTINUES_M = 1.0
"""A lane that starts within this distance of another lane's end continues it."""


class Lanes:
    """Look-up of lanes; the segments into which a map cuts a lane count as one lane.

    Args:
        roads: of the recordings, in their order.
    """

    def __init__(self, roads: Sequence[Road]):
        self._field = LaneField.build(roads)
        # Index -1, off the lanes, reads the last column.
        self._number = torch.full((len(roads), 1 + max(road.lanes for road in roads)), -1)
        for index, road in enumerate(roads):
            self._number[index, : road.lanes] = torch.from_numpy(_lane_numbers(road))

    def look_up(
        self,
        x_m: Float[Tensor, "envs *points"],
        y_m: Float[Tensor, "envs *points"],
        road: Int[Tensor, " envs"],
    ) -> tuple[Int[Tensor, "envs *points"], Float[Tensor, "envs *points"]]:
        """The lane's number, -1 off the lanes, and metres to the left of its centre line."""
        place = self._field.look_up(x_m, y_m, road)
        number = self._number[road.view(-1, *(1,) * (x_m.ndim - 1)), place.lane]
        return number, torch.where(number >= 0, place.offset_m, torch.nan)


def _lane_numbers(road: Road) -> Int[np.ndarray, " lanes"]:
    """A number for each lane segment, the same for segments that continue each other."""
    centres = 0.5 * (road.left_m + road.right_m)
    starts, ends = centres[road.lane_pointer[:-1]], centres[road.lane_pointer[1:] - 1]
    distance_m = np.linalg.norm(starts[None] - ends[:, None], axis=-1)
    number = np.arange(road.lanes)
    for earlier, later in np.argwhere(distance_m < _CONTINUES_M):
        number[number == number[later]] = number[earlier]
    return number


def lane_keeping(
    drives: Drives, recording: Int[np.ndarray, " episodes"], roads: Sequence[Road]
) -> dict[str, np.ndarray]:
    """Fraction of time in a lane, mean absolute offset from its centre, number of lane changes.

    Each is ``(episodes,)``; the offset is NaN where the ego is never in a lane.

    Args:
        drives: at least one.
        recording: index of each episode's road.
        roads: of the recordings; lanes that continue each other are one lane.
    """
    changes = np.zeros(len(drives), np.int64)
    for index in np.unique(recording):
        episodes = np.flatnonzero(recording == index)
        changed = row_events(_as_recording(drives, episodes, roads[index]))["lane_change"]
        counts = np.diff(drives.pointer)[episodes]
        changes[episodes] = np.add.reduceat(changed.astype(int), np.cumsum(counts) - counts)
    in_lane = np.isfinite(drives.lane_offset_m)
    return {
        "in_lane": drives.mean(in_lane.astype(float), drives.driven),
        "lane_offset_m": drives.mean(np.abs(drives.lane_offset_m), in_lane & drives.driven),
        "lane_changes": changes,
    }


def _as_recording(drives: Drives, episodes: Int[np.ndarray, " chosen"], road: Road) -> Recording:
    """Chosen drives as tracks, one an episode, with dummy sizes."""
    rows = np.flatnonzero(np.isin(drives.episode, episodes))
    return Recording(
        frame=rows,
        x_m=drives.x_m[rows],
        y_m=drives.y_m[rows],
        heading_rad=drives.heading_rad[rows],
        speed_mps=drives.speed_mps[rows],
        vehicle_pointer=np.cumsum([0, *np.diff(drives.pointer)[episodes]]),
        vehicle_id=episodes,
        length_m=np.ones(len(episodes)),
        width_m=np.ones(len(episodes)),
        road=road,
        dt_s=drives.dt_s,
    )
