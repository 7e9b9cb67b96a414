"""Film strips: images of traffic in colour, side by side."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_MISSED, _FALSE = (0.12, 0.39, 0.71), (0.85, 0.33, 0.10)
"""Blue and orange."""
_FRAME = 0.6
"""Grey of the line around each picture."""
FRAME_PIXELS = 1


def coloured(
    vehicles: Float[Tensor, "*batch rows columns"],
    lanes: Float[Tensor, "*batch rows columns"],
    offroad: Float[Tensor, "*batch rows columns"],
) -> Float[Tensor, "*batch rows columns 3"]:
    """Lanes red, vehicles green, off-road blue."""
    return torch.stack([lanes, vehicles, offroad], dim=-1)


def difference(
    true: Float[Tensor, "*batch rows columns"], predicted: Float[Tensor, "*batch rows columns"]
) -> Float[Tensor, "*batch rows columns 3"]:
    """Blue vehicles that were missed, orange ones that are not there, grey where both agree."""
    missed, false = (true - predicted).clamp(min=0.0), (predicted - true).clamp(min=0.0)
    both = 0.25 * torch.minimum(true, predicted)
    picture = torch.ones(*true.shape, 3, device=true.device) - both[..., None]
    for amount, colour in ((missed, _MISSED), (false, _FALSE)):
        picture = picture - amount[..., None] * (1.0 - picture.new_tensor(colour))
    return picture


def film_strip(
    pictures: Float[Tensor, "lines across rows columns 3"],
) -> Float[Tensor, "height width 3"]:
    """All pictures in one, each with a thin frame; values from 0 to 1."""
    wide = (0, 0, FRAME_PIXELS, FRAME_PIXELS, FRAME_PIXELS, FRAME_PIXELS)
    framed = functional.pad(pictures.clamp(0.0, 1.0), wide, value=_FRAME)
    return framed.transpose(1, 2).flatten(2, 3).flatten(0, 1)
