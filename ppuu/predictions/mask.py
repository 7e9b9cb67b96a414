"""Masks that ride on the ego: weights of the places around it, piecewise linear and separable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

SIZES = 5
"""Numbers of a mask: half-length, fade ahead, fade behind, half-width, fade to either side."""
SHARPEST_M = 1e-3
"""A shorter fade is as good as an edge, and would divide by nothing."""


@lru_cache(maxsize=256)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Float[Tensor, ""]:
    """A constant, made once: masks are laid at every step of a search."""
    return torch.tensor(value, dtype=dtype, device=device)


@dataclass(frozen=True, eq=False)
class EgoPath:
    """Where the ego goes; what masks ride on.

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
        """Half its length, shaped to meet a mask."""
        return 0.5 * self.size_m[:, 0, None, None]

    @cached_property
    def half_width_m(self) -> Float[Tensor, "batch 1 1"]:
        """Half its width, shaped to meet a mask."""
        return 0.5 * self.size_m[:, 1, None, None]

    @cached_property
    def area_m2(self) -> Float[Tensor, "batch 1 1 1"]:
        """Its area, shaped to meet a mass."""
        return self.size_m.prod(1)[:, None, None, None]


@dataclass(frozen=True, eq=False)
class EgoMask:
    """Several masks at once.

    A mask is 1 over a rectangle around the ego's centre and falls linearly to 0 over its fades:
    ``along(ahead) * across(left)``, both trapezoids, in the ego's frame.

    Attributes:
        sizes: of each mask half-length, fade ahead, fade behind, half-width, fade to either side,
            each ``(batch, candidates, time)``.
    """

    sizes: tuple[Float[Tensor, "batch candidates time"], ...]

    @cached_property
    def sizes_m(self) -> Float[Tensor, "batch candidates time masks 5"]:
        """All of them in one tensor.

        Gradients reach them: a safe distance depends on the speed.
        """
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
        """One mask along a path; sizes are numbers or tensors that broadcast to it."""
        speed = ego.speed_mps

        def along_path(size: Tensor | float) -> Float[Tensor, "batch candidates time"]:
            if not isinstance(size, Tensor):
                size = _number(size, speed.dtype, speed.device)
            return size.expand_as(speed)

        def fade(size: Tensor | float) -> Tensor | float:
            return size.clamp(min=SHARPEST_M) if isinstance(size, Tensor) else max(size, SHARPEST_M)

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
        """Several side by side."""
        return cls(tuple(size for mask in masks for size in mask.sizes))

    def each(self) -> list[EgoMask]:
        """One by one."""
        return [
            EgoMask(self.sizes[first : first + SIZES]) for first in range(0, len(self.sizes), SIZES)
        ]


def interval_mass(
    centre: Tensor, extent: Tensor, half: Tensor, fade_ahead: Tensor, fade_behind: Tensor
) -> Tensor:
    """Integral of a trapezoid over intervals of some extent around a centre; all broadcast."""
    half_extent = 0.5 * extent
    ahead = _antiderivative(centre + half_extent, half, fade_ahead, fade_behind)
    return ahead - _antiderivative(centre - half_extent, half, fade_ahead, fade_behind)


def _antiderivative(place: Tensor, half: Tensor, ahead: Tensor, behind: Tensor) -> Tensor:
    """Integral of the trapezoid from 0 to a place, negative behind."""
    # Neither abs and sign nor minimum: their gradients fail where a pixel's edge lies at the ego's
    # centre, or at a corner of the mask.
    forwards = place >= 0
    fade, sign = torch.where(forwards, ahead, behind), 2.0 * forwards.to(place.dtype) - 1.0
    size = sign * place
    flat = torch.where(size < half, size, half)
    into = torch.minimum((size - half).clamp(min=0.0), fade)
    return sign * (flat + into - 0.5 * into.square() / fade)
