"""Goals for clips: a lane beside, to be in before a stretch of road ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from data.clips.clips import Clip, Clips
from envs.tasks.goal_lines import GoalLines, node_count
from envs.tasks.lanes import Lanes
from ppuu.perception.goal import Goal
from ppuu.recordings.lanes import NO_LANE
from ppuu.recordings.road import Road
from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class GoalMix:
    """How often and which goals are given.

    Attributes:
        share: of the clips that are given one, where there is a lane beside; 0 for none.
        shortest_m, longest_m: road that is left, drawn uniformly.
    """

    share: float = 0.0
    shortest_m: float = 20.0
    longest_m: float = 215.0

    def __post_init__(self):
        if not (0.0 <= self.share <= 1.0 and 0.0 < self.shortest_m < self.longest_m):
            raise InputError(
                f"goals: share {self.share} from 0 to 1, shortest_m {self.shortest_m} below "
                f"longest_m {self.longest_m}"
            )

    def draw(self, clips: Clips, clip: Clip, generator: torch.Generator) -> Goal | None:
        """A goal for every clip of a batch, one or two lanes to either side; None without any."""
        if self.share == 0.0:
            return None
        chance = torch.rand(3, len(clip.ego), generator=generator).double().numpy()
        lanes = np.array([-2, -1, 1, 2])[(4 * chance[1]).astype(int)]
        left_m = self.shortest_m + chance[2] * (self.longest_m - self.shortest_m)
        ego_m = clip.observation.ego[:, -1, :2].double().numpy(force=True)
        recording = clips.scene.vehicle_recording[clip.ego].numpy(force=True)
        line_m = np.zeros((len(ego_m), node_count(self.longest_m), 2))
        end_m, wanted = np.zeros(len(ego_m)), np.zeros(len(ego_m), bool)
        for number, aside in {*zip(recording.tolist(), lanes.tolist(), strict=True)}:
            rows = np.flatnonzero((recording == number) & (lanes == aside))
            road = _lanes(clips.recordings[number].road)
            target = road.beside(ego_m[rows], road.at(ego_m[rows]), aside)
            rows, target = rows[target != NO_LANE], target[target != NO_LANE]
            here = ego_m[rows]
            lines = GoalLines.between(road, here, here, target, self.longest_m)
            line_m[rows], end_m[rows], wanted[rows] = lines.line_m, lines.end_m, True
        wanted &= chance[0] < self.share

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, device=clip.observation.ego.device)

        return Goal(tensor(line_m).float(), tensor(end_m + left_m).float(), tensor(wanted))


@lru_cache(maxsize=256)
def _lanes(road: Road) -> Lanes:
    return Lanes(road)
