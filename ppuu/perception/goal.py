"""Goals: a lane that the ego shall be in before the road runs out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..geometry import wrap_angle

NODE_SPACING_M = 4.0
"""Between the nodes of a goal's line; in a bend of 100 m radius the line errs by 2 cm."""


@dataclass(frozen=True, eq=False)
class GoalPlace:
    """Where points lie, seen from the goal's line.

    Attributes:
        lateral_m: distance to the left of the line.
        left_m: metres along the line to its end, negative beyond.
        direction_rad: of the line.
    """

    lateral_m: Float[Tensor, "batch *points"]
    left_m: Float[Tensor, "batch *points"]
    direction_rad: Float[Tensor, "batch *points"]


@dataclass(frozen=True, eq=False)
class Goal:
    """The centre line of the lane to be in, and where the ego has to be in it.

    Attributes:
        line_m: ``(batch, nodes, 2)`` nodes in driving direction, ``NODE_SPACING_M`` apart; the
            line goes on straight beyond both ends.
        end_m: ``(batch,)`` station along the line, counted from its first node, at which the ego
            has to be in the lane.
        wanted: ``(batch,)`` False where any lane will do; the line then has no meaning.
    """

    line_m: Float[Tensor, "batch nodes 2"]
    end_m: Float[Tensor, " batch"]
    wanted: Bool[Tensor, " batch"]

    def place(self, points_m: Float[Tensor, "batch *points 2"]) -> GoalPlace:
        """Seen from the nearest node, along the direction of the line there."""
        batch = len(points_m)
        flat = points_m.flatten(1, -2)
        with torch.no_grad():
            node = torch.cdist(flat, self.line_m).argmin(-1)
        index = node[..., None].expand(-1, -1, 2)
        offset = flat - self.line_m.gather(1, index)
        direction = self._directions.gather(1, index)
        along = (offset * direction).sum(-1)
        across = direction[..., 0] * offset[..., 1] - direction[..., 1] * offset[..., 0]
        left = self.end_m[:, None] - (node * NODE_SPACING_M + along)
        shape = (batch, *points_m.shape[1:-1])
        bearing = torch.atan2(direction[..., 1], direction[..., 0])
        return GoalPlace(across.view(shape), left.view(shape), bearing.view(shape))

    @property
    def _directions(self) -> Float[Tensor, "batch nodes 2"]:
        """Unit vectors along the line at its nodes: between the neighbours of each."""
        line = self.line_m
        ends = torch.cat([line[:, :1], line, line[:, -1:]], dim=1)
        return torch.nn.functional.normalize(ends[:, 2:] - ends[:, :-2], dim=-1)

    def seen_from(
        self, ego: Float[Tensor, "batch 4"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Metres to the left to the line, its direction relative to the heading, metres left.

        Zeros where no lane is wanted.
        """
        place = self.place(ego[:, None, :2])
        turn = wrap_angle(place.direction_rad[:, 0] - ego[:, 2])
        seen = -place.lateral_m[:, 0], turn, place.left_m[:, 0]
        aside_m, turn_rad, left_m = (torch.where(self.wanted, one, 0.0) for one in seen)
        return aside_m, turn_rad, left_m

    def take(self, rows: Int[Tensor, " some"]) -> Goal:
        """Some elements of the batch."""
        return Goal(self.line_m[rows], self.end_m[rows], self.wanted[rows])

    def repeat(self, copies: int) -> Goal:
        """Every element of the batch ``copies`` times in a row."""
        return Goal(
            self.line_m.repeat_interleave(copies, 0),
            self.end_m.repeat_interleave(copies, 0),
            self.wanted.repeat_interleave(copies, 0),
        )


GOAL_FEATURES = 4


def goal_features(goal: Goal | None, ego: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch 4"]:
    """A network's input for goals; zeros without one.

    Whether there is a lane to be in, how far it is to the left in units of 4 m, the sine of its
    direction relative to the ego's heading times 4, and the road that is left in units of 100 m.
    """
    if goal is None:
        return ego.new_zeros(len(ego), GOAL_FEATURES)
    aside_m, turn_rad, left_m = goal.seen_from(ego)
    left = left_m.clamp(-50.0, 500.0) / 100.0
    features = goal.wanted.to(ego), aside_m / 4.0, 4.0 * turn_rad.sin(), left
    return torch.stack(features, dim=1)
