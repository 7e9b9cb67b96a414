"""Centre lines of target lanes, as the simulator keeps them: as many nodes for every ego."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ppuu.perception.goal import NODE_SPACING_M

from .lanes import Lane, Lanes
from .situation import ROOM_M, Situation

_BEHIND_NODES = 5
"""Of the line begin behind the ego."""


@dataclass(frozen=True, eq=False)
class GoalLines:
    """A target lane for each ego; see ``ppuu.perception.goal.Goal``.

    Attributes:
        line_m: ``(n, nodes, 2)``.
        end_m: ``(n,)`` station along the line where the drive ends.
    """

    line_m: Float[np.ndarray, "n nodes 2"]
    end_m: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, situation: Situation, target: Int[np.ndarray, " n"]) -> GoalLines:
        """The lines of target lanes, of which there must be one for each ego."""
        start_m, end_m = situation.start_m, situation.human_end_m
        return cls.between(situation.lanes, start_m, end_m, target, situation.distance_m)

    @classmethod
    def between(
        cls,
        lanes: Lanes,
        start_m: Float[np.ndarray, "n 2"],
        end_m: Float[np.ndarray, "n 2"],
        target: Int[np.ndarray, " n"],
        distance_m: float,
    ) -> GoalLines:
        """The lines of target lanes that begin abreast of starts and end abreast of ends.

        Args:
            lanes: of the road.
            start_m, end_m: points, which need not be in the target lanes.
            target: the lanes.
            distance_m: length of the longest drive.
        """
        nodes = node_count(distance_m)
        lines, ends = np.empty((len(target), nodes, 2)), np.empty(len(target))
        for index in np.unique(target):
            rows, lane = np.flatnonzero(target == index), lanes.all[index]
            begin = lane.station_m(start_m[rows]) / NODE_SPACING_M
            first = begin.round().astype(int) - _BEHIND_NODES
            lines[rows] = _nodes(lane, first[:, None] + np.arange(nodes))
            end = lane.station_m(end_m[rows])
            ends[rows] = end - first * NODE_SPACING_M
        return cls(lines, ends)


def node_count(distance_m: float) -> int:
    """Nodes of a line for a drive of this length."""
    return math.ceil((distance_m + ROOM_M) / NODE_SPACING_M) + _BEHIND_NODES


def _nodes(lane: Lane, index: Int[np.ndarray, "n nodes"]) -> Float[np.ndarray, "n nodes 2"]:
    """Nodes of a centre line, which goes on straight beyond its ends."""
    points = lane.line.points_m
    inside = index.clip(0, len(points) - 1)
    direction = np.where((index < 0)[..., None], points[1] - points[0], points[-1] - points[-2])
    return points[inside] + (index - inside)[..., None] * direction
