"""Everybody but the ego, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Everybody but the ego, at one moment: rows of tables, so that nothing is copied unasked.

    Attributes:
        table_boxes: ``(rows, slots, 5)`` x_m, y_m, heading_rad, length_m, width_m.
        table_speed_mps: ``(rows, slots)``.
        table_vehicle: ``(rows, slots)`` the scene's number of it, -1 where free.
        row: ``(envs,)`` whom an environment meets.
        ego: ``(envs,)`` the scene's number of the vehicle whose place the ego has taken.
    """

    table_boxes: Float[Tensor, "rows slots 5"]
    table_speed_mps: Float[Tensor, "rows slots"]
    table_vehicle: Int[Tensor, "rows slots"]
    row: Int[Tensor, " envs"]
    ego: Int[Tensor, " envs"]

    @classmethod
    def of(
        cls, boxes: Float[Tensor, "envs slots 5"], present: Bool[Tensor, "envs slots"]
    ) -> Neighbours:
        """Given boxes, whoever they are; their speeds count as 0."""
        row = torch.arange(len(boxes), device=boxes.device)
        return cls(boxes, boxes.new_zeros(present.shape), present.long() - 1, row, -1 - row)

    @cached_property
    def boxes(self) -> Float[Tensor, "envs slots 5"]:
        """Each environment's row of boxes."""
        return self.table_boxes[self.row]

    @cached_property
    def speed_mps(self) -> Float[Tensor, "envs slots"]:
        """Their speeds."""
        return self.table_speed_mps[self.row]

    @cached_property
    def vehicle(self) -> Int[Tensor, "envs slots"]:
        """Their numbers, -1 where a slot is free."""
        return self.table_vehicle[self.row]

    @cached_property
    def present(self) -> Bool[Tensor, "envs slots"]:
        """Whether a slot holds a vehicle other than the ego."""
        return (self.vehicle >= 0) & (self.vehicle != self.ego[:, None])
