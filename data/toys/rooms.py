"""Two rooms and a door: a task on planning in embeddings.

After the two-rooms task of PLDM (2502.14819), smaller: a dot in an image of 28 x 28, a wall with
a door, steps of at most two pixels.  The dot and the wall each have a channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.runtime.errors import InputError

SIDE = 28
STEP_PIXELS = 2.0
_MARGIN_PIXELS = 2.0
_DOOR_PIXELS = 3.0
_STANDOFF_PIXELS = 1.0
_DOT_PIXELS = 1.2
_WALL_PIXELS = 0.8


@dataclass(frozen=True)
class RoomsConfig:
    """Configuration of the sequences.

    Attributes:
        steps: actions of a sequence, which has one image more.
        turn_rad: standard deviation of the change of heading per step.
        shift_pixels: largest offset of the wall from the middle; 0 for a fixed wall.
        shift_door: random position of the door in the wall, instead of its middle.
    """

    steps: int = 12
    turn_rad: float = 0.4
    shift_pixels: float = 0.0
    shift_door: bool = False

    def __post_init__(self):
        if (
            self.steps < 1
            or not 0 <= self.turn_rad < math.inf
            or not 0 <= self.shift_pixels < SIDE / 4
        ):
            raise InputError(
                f"rooms: steps {self.steps} must be positive, turn_rad {self.turn_rad} not "
                f"negative, shift_pixels {self.shift_pixels} from 0 to below {SIDE // 4}"
            )


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions of wall and door, in pixels.

    Attributes:
        wall: column of the wall.
        door: row of the middle of the door.
    """

    wall: Float[Tensor, " batch"]
    door: Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class Rooms:
    """A batch of sequences.

    Attributes:
        images: ``(batch, time, 2, 28, 28)`` dot and wall.
        actions: ``(batch, time - 1, 2)`` attempted displacement; 1 is two pixels.
        positions: ``(batch, time, 2)`` row and column, as fractions of the side.
    """

    images: Float[Tensor, "batch time 2 rows columns"]
    actions: Float[Tensor, "batch steps 2"]
    positions: Float[Tensor, "batch time 2"]


def draw_layout(config: RoomsConfig, batch: int, generator: torch.Generator) -> Layout:
    """Random layouts."""
    wall, door = (2.0 * torch.rand(2, batch, generator=generator) - 1.0).unbind()
    most = SIDE / 2 - _MARGIN_PIXELS - _DOOR_PIXELS
    return Layout(
        SIDE / 2 + config.shift_pixels * wall, SIDE / 2 + float(config.shift_door) * most * door
    )


def draw_rooms(config: RoomsConfig, batch: int, generator: torch.Generator) -> Rooms:
    """Random walks with correlated heading."""
    layout = draw_layout(config, batch, generator)
    positions = [_anywhere(batch, generator)]
    heading = 2.0 * math.pi * torch.rand(batch, generator=generator)
    actions = []
    for _ in range(config.steps):
        heading = heading + config.turn_rad * torch.randn(batch, generator=generator)
        length = torch.rand(batch, generator=generator)[:, None]
        actions.append(length * torch.stack([heading.cos(), heading.sin()], dim=1))
        positions.append(moved(positions[-1], actions[-1], layout))
    places = torch.stack(positions, dim=1)
    return Rooms(picture(places, layout), torch.stack(actions, dim=1), places)


def draw_tasks(
    config: RoomsConfig, batch: int, generator: torch.Generator
) -> tuple[Layout, Float[Tensor, "batch 2"], Float[Tensor, "batch 2"]]:
    """Layouts, starts, and goals in the other room."""
    layout = draw_layout(config, batch, generator)
    start, goal = _anywhere(batch, generator), _anywhere(batch, generator)
    left = torch.rand(batch, generator=generator) < 0.5
    return layout, _in_room(start, layout, left), _in_room(goal, layout, ~left)


def _anywhere(batch: int, generator: torch.Generator) -> Float[Tensor, "batch 2"]:
    inside = SIDE - 2 * _MARGIN_PIXELS
    return (_MARGIN_PIXELS + inside * torch.rand(batch, 2, generator=generator)) / SIDE


def _in_room(place: Tensor, layout: Layout, left: Tensor) -> Float[Tensor, "batch 2"]:
    """The same row, and the column squeezed into a room."""
    fraction = (place[:, 1] * SIDE - _MARGIN_PIXELS) / (SIDE - 2 * _MARGIN_PIXELS)
    near, far = layout.wall - _STANDOFF_PIXELS, layout.wall + _STANDOFF_PIXELS
    low = torch.where(left, _MARGIN_PIXELS, far)
    high = torch.where(left, near, SIDE - _MARGIN_PIXELS)
    return torch.stack([place[:, 0], (low + fraction * (high - low)) / SIDE], dim=1)


def moved(
    position: Float[Tensor, "batch 2"], action: Float[Tensor, "batch 2"], layout: Layout
) -> Float[Tensor, "batch 2"]:
    """Position after an action: bounded by the step size, the walls and the image.

    The wall blocks the motion across columns only.
    """
    action = action / action.norm(dim=-1, keepdim=True).clamp(min=1.0)
    row, column = (position * SIDE).unbind(-1)
    to_row, to_column = (position * SIDE + STEP_PIXELS * action).unbind(-1)
    side = torch.where(column < layout.wall, -1.0, 1.0)
    reaches = side * (to_column - layout.wall) < _STANDOFF_PIXELS
    fraction = ((layout.wall - column) / _apart(to_column - column)).clamp(0.0, 1.0)
    crossing_row = row + fraction * (to_row - row)
    blocked = reaches & ((crossing_row - layout.door).abs() > _DOOR_PIXELS)
    kept = side * torch.maximum(
        side * (to_column - layout.wall),
        torch.minimum(side * (column - layout.wall), column.new_tensor(_STANDOFF_PIXELS)),
    )
    to_column = torch.where(blocked, layout.wall + kept, to_column)
    ahead = torch.stack([to_row, to_column], dim=-1)
    return ahead.clamp(_MARGIN_PIXELS, SIDE - _MARGIN_PIXELS) / SIDE


def _apart(values: Tensor) -> Tensor:
    return torch.where(values.abs() < 1e-6, 1e-6, values)


def picture(
    position: Float[Tensor, "batch *time 2"], layout: Layout
) -> Float[Tensor, "batch *time 2 rows columns"]:
    """Images of the dot (Gaussian blob) and of the wall with its door."""
    pixels = torch.arange(SIDE) + 0.5
    away = (position[..., None] * SIDE - pixels) / _DOT_PIXELS
    rows, columns = torch.exp(-0.5 * away.square()).unbind(-2)
    dot = rows[..., :, None] * columns[..., None, :]
    column = torch.exp(-0.5 * ((pixels - layout.wall[:, None]) / _WALL_PIXELS).square())
    solid = torch.sigmoid(4.0 * ((pixels - layout.door[:, None]).abs() - _DOOR_PIXELS))
    wall = solid[:, :, None] * column[:, None, :]
    wall = wall.reshape(len(wall), *[1] * (dot.ndim - 3), SIDE, SIDE).expand_as(dot)
    return torch.stack([dot, wall], dim=-3)
