"""Masks in the ego's frame: separable, piecewise linear weights of the positions around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

SIZES = 5
"""Numbers of a mask: half-length, fade ahead, fade behind, half-width, fade to either side."""
MIN_FADE_M = 1e-3
"""Lower bound of a fade, against division by zero."""


@lru_cache(maxsize=256)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Float[Tensor, ""]:
    """A cached constant: planners build masks in every iteration."""
    return torch.tensor(value, dtype=dtype, device=device)


@dataclass(frozen=True, eq=False)
class EgoPath:
    """A path of the ego, the origin of masks.

    Attributes:
        states: ``(batch, candidates, time, 4)`` x_m, y_m, heading_rad, speed_mps.
        size_m: ``(batch, 2)`` its length and width.
    """

    states: Float[Tensor, "batch candidates time 4"]
    size_m: Float[Tensor, "batch 2"]

    @cached_property
    def speed_mps(self) -> Float[Tensor, "batch candidates time"]:
        """Its speed."""
        return self.states[..., 3]

    @cached_property
    def half_length_m(self) -> Float[Tensor, "batch 1 1"]:
        """Half its length, in a shape that broadcasts to a mask."""
        return 0.5 * self.size_m[:, 0, None, None]

    @cached_property
    def half_width_m(self) -> Float[Tensor, "batch 1 1"]:
        """Half its width, in a shape that broadcasts to a mask."""
        return 0.5 * self.size_m[:, 1, None, None]

    @cached_property
    def area_m2(self) -> Float[Tensor, "batch 1 1 1"]:
        """Its area, in a shape that broadcasts to a mass."""
        return self.size_m.prod(1)[:, None, None, None]


@dataclass(frozen=True, eq=False)
class EgoMask:
    """One or more masks.

    A mask is 1 in a rectangle around the ego's centre and falls linearly to 0 over its fades:
    ``along(ahead) * across(left)``, both trapezoids, in the ego's frame.

    Attributes:
        sizes: of each mask half-length, fade ahead, fade behind, half-width, fade to either side,
            each ``(batch, candidates, time)``.
    """

    sizes: tuple[Float[Tensor, "batch candidates time"], ...]

    @cached_property
    def sizes_m(self) -> Float[Tensor, "batch candidates time masks 5"]:
        """All sizes in one tensor, with gradients, since safe distances depend on the speed."""
        return torch.stack(self.sizes, dim=-1).unflatten(-1, (-1, SIZES))

    @classmethod
    def of(
        cls,
        ego: EgoPath,
        half_length_m: Tensor | float,
        fade_ahead_m: Tensor | float,
        fade_behind_m: Tensor | float,
        half_width_m: Tensor | float,
        fade_side_m: Tensor | float,
    ) -> EgoMask:
        """One mask along a path; sizes are numbers or tensors that broadcast to the path."""
        speed = ego.speed_mps

        def along_path(size: Tensor | float) -> Float[Tensor, "batch candidates time"]:
            if not isinstance(size, Tensor):
                size = _number(size, speed.dtype, speed.device)
            return size.expand_as(speed)

        def fade(size: Tensor | float) -> Tensor | float:
            return size.clamp(min=MIN_FADE_M) if isinstance(size, Tensor) else max(size, MIN_FADE_M)

        sizes = (
            half_length_m, fade(fade_ahead_m), fade(fade_behind_m), half_width_m, fade(fade_side_m),
        )  # fmt: skip
        return cls(tuple(along_path(size) for size in sizes))

    @classmethod
    def from_sizes(cls, sizes_m: Float[Tensor, "batch candidates time masks 5"]) -> EgoMask:
        """Masks of given sizes."""
        return cls(sizes_m.flatten(-2).unbind(-1))

    @classmethod
    def stack(cls, masks: Sequence[EgoMask]) -> EgoMask:
        """Stacks masks."""
        return cls(tuple(size for mask in masks for size in mask.sizes))

    def unbind(self) -> list[EgoMask]:
        """The masks one by one."""
        return [
            EgoMask(self.sizes[first : first + SIZES]) for first in range(0, len(self.sizes), SIZES)
        ]


def interval_mass(
    centre: Tensor, extent: Tensor, half: Tensor, fade_ahead: Tensor, fade_behind: Tensor
) -> Tensor:
    """Integral of a trapezoid over intervals of an extent around a centre; arguments broadcast."""
    half_extent = 0.5 * extent
    ahead = _antiderivative(centre + half_extent, half, fade_ahead, fade_behind)
    return ahead - _antiderivative(centre - half_extent, half, fade_ahead, fade_behind)


def _antiderivative(position: Tensor, half: Tensor, ahead: Tensor, behind: Tensor) -> Tensor:
    """Integral of the trapezoid from 0 to a position, negative behind."""
    # torch.where instead of abs, sign and minimum, whose gradients are wrong where a pixel's edge
    # is at the ego's centre or at a corner of the mask.
    forwards = position >= 0
    fade, sign = torch.where(forwards, ahead, behind), 2.0 * forwards.to(position.dtype) - 1.0
    distance = sign * position
    flat = torch.where(distance < half, distance, half)
    into_fade = torch.minimum((distance - half).clamp(min=0.0), fade)
    return sign * (flat + into_fade - 0.5 * into_fade.square() / fade)
