"""The vehicles around the ego at one time step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The vehicles around the ego at one time step, as rows of tables that are copied on demand.

    Attributes:
        table_boxes: ``(rows, slots, 5)`` x_m, y_m, heading_rad, length_m, width_m.
        table_speed_mps: ``(rows, slots)``.
        table_vehicle: ``(rows, slots)`` index in the scene, -1 where free.
        row: ``(envs,)`` row of each environment.
        ego: ``(envs,)`` index of the vehicle that the ego replaces.
    """

    table_boxes: Float[Tensor, "rows slots 5"]
    table_speed_mps: Float[Tensor, "rows slots"]
    table_vehicle: Int[Tensor, "rows slots"]
    row: Int[Tensor, " envs"]
    ego: Int[Tensor, " envs"]

    @classmethod
    def of(
        cls, boxes: Float[Tensor, "envs slots 5"], valid: Bool[Tensor, "envs slots"]
    ) -> Neighbours:
        """From boxes alone, with speeds of 0."""
        row = torch.arange(len(boxes), device=boxes.device)
        return cls(boxes, boxes.new_zeros(valid.shape), valid.long() - 1, row, -1 - row)

    @cached_property
    def boxes(self) -> Float[Tensor, "envs slots 5"]:
        """Each environment's row of boxes."""
        return self.table_boxes[self.row]

    @cached_property
    def speed_mps(self) -> Float[Tensor, "envs slots"]:
        """Each environment's row of speeds."""
        return self.table_speed_mps[self.row]

    @cached_property
    def vehicle(self) -> Int[Tensor, "envs slots"]:
        """Each environment's row of vehicle indices, -1 where free."""
        return self.table_vehicle[self.row]

    @cached_property
    def valid(self) -> Bool[Tensor, "envs slots"]:
        """Whether a slot holds a vehicle other than the ego."""
        return (self.vehicle >= 0) & (self.vehicle != self.ego[:, None])
