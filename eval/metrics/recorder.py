"""Logs episodes while they are driven."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from envs.core.simulator import Simulator, StepResult
from envs.traffic.base import Neighbours
from ppuu.recordings.road import Road

from ..driving.observer import EpisodeObserver
from .drives import Drives
from .encroachment import Encroachment
from .headway import gap_to_leader
from .lanes import Lanes

_ROW = (
    "x_m", "y_m", "heading_rad", "speed_mps", "acceleration_mps2", "clearance_m",
    "time_to_collision_s", "gap_m", "lane_offset_m",
)  # fmt: skip
_SIMULATED = {
    "outcome": np.int64,
    "collision_kind": np.int64,
    "at_fault": bool,
    "distance_m": np.float64,
    "human_distance_m": np.float64,
}
"""What is read from the simulator when an episode has ended."""


class MetricsRecorder(EpisodeObserver):
    """Logs every frame of every episode; policies do not see the log.

    Args:
        roads: of the simulator's recordings, in their order.
        episodes: number of episodes that will be driven.
        slots: of the simulator.
        dt_s: seconds between frames.
    """

    def __init__(self, roads: Sequence[Road], episodes: int, slots: int, dt_s: float):
        self._lanes = Lanes(roads)
        self._dt_s = dt_s
        self._encroachment = Encroachment(slots, dt_s)
        self._episode = torch.full((slots,), -1)
        self._owners: list[Tensor] = []
        self._rows: list[Tensor] = []
        kinds = _SIMULATED | {"post_encroachment_s": np.float64}
        self._ends = {name: np.zeros(episodes, kind) for name, kind in kinds.items()}

    def begin(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Logs the starts."""
        self._episode[slots] = episodes
        others = simulator.neighbours()
        self._encroachment.begin(slots, simulator.ego_box, others)
        self._log(simulator, others, slots)

    def step(self, simulator: Simulator, result: StepResult) -> None:
        """Logs the frame."""
        others = simulator.neighbours()
        self._encroachment.add(simulator.ego_box, others)
        self._log(simulator, others, result.moved.nonzero()[:, 0])

    def end(
        self, simulator: Simulator, slots: Int[Tensor, " n"], episodes: Int[Tensor, " n"]
    ) -> None:
        """Logs how the episodes ended."""
        rows = episodes.numpy()
        for name in _SIMULATED:
            self._ends[name][rows] = getattr(simulator, name)[slots].numpy()
        self._ends["post_encroachment_s"][rows] = self._encroachment.smallest_s[slots.numpy()]

    def _log(self, simulator: Simulator, others: Neighbours, slots: Int[Tensor, " n"]) -> None:
        gap, offset = gap_to_leader(simulator.ego_box, others, self._lanes, simulator.road)
        columns = [
            *simulator.state.unbind(1), simulator.action[:, 0], simulator.clearance_m,
            simulator.time_to_collision_s, gap, offset,
        ]  # fmt: skip
        self._owners.append(self._episode[slots])
        self._rows.append(torch.stack(columns, dim=1)[slots])

    def drives(self) -> Drives:
        """The log, sorted by episode."""
        owner, rows = torch.cat(self._owners).numpy(), torch.cat(self._rows).numpy()
        order = np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=len(self._ends["outcome"]))
        return Drives(
            pointer=np.concatenate([[0], np.cumsum(counts)]),
            **dict(zip(_ROW, rows[order].T, strict=True)),
            **self._ends,
            dt_s=self._dt_s,
        )
