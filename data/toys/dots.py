"""Moving dots with noise: a task on slow features in joint-embedding prediction.

After "Joint Embedding Predictive Architectures Focus on Slow Features" (2211.10831): images of
28 x 28, sequences of 17, steps of at most 4 pixels.  Noise is independent in every frame, or one
fixed pattern per sequence, which is easy to predict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ppuu.runtime.errors import InputError

SIDE = 28
STEP_PIXELS = 4.0
_MARGIN_PIXELS = 2.0
_DOT_PIXELS = 2.0
_PATCHES = 4

Noise = Literal["none", "uniform", "structured"]
Task = Literal["single", "three"]


@dataclass(frozen=True)
class DotsConfig:
    """Configuration of the sequences.

    Attributes:
        task: ``single``: one dot, moved by the action; ``three``: two further dots in channels of
            their own, one moving at random and one at rest.
        noise: independent pixels, or smooth patterns, in [0, 1].
        fixed: one pattern per sequence instead of one per frame.
        strength: amplitude of the noise; a dot is 1 at its centre.
        steps: actions of a sequence, which has one image more.
    """

    task: Task = "single"
    noise: Noise = "none"
    fixed: bool = False
    strength: float = 1.0
    steps: int = 16

    def __post_init__(self):
        if not 0 <= self.strength < math.inf or self.steps < 1:
            raise InputError(
                f"dots: strength {self.strength} must not be negative, steps {self.steps} positive"
            )

    @property
    def dots(self) -> int:
        """Number of dots and channels."""
        return 1 if self.task == "single" else 3


@dataclass(frozen=True, eq=False)
class Dots:
    """A batch of sequences.

    Attributes:
        images: ``(batch, time, dots, 28, 28)``.
        actions: ``(batch, time - 1, 2)`` displacement of the first dot, 1 is four pixels.
        positions: ``(batch, time, dots, 2)`` row and column, as fractions of the side.
    """

    images: Float[Tensor, "batch time dots rows columns"]
    actions: Float[Tensor, "batch steps 2"]
    positions: Float[Tensor, "batch time dots 2"]


def draw_dots(config: DotsConfig, batch: int, generator: torch.Generator) -> Dots:
    """Random sequences.

    A step has a random direction and length; at the border of the image it is clipped, and the
    action is the actual displacement.
    """
    positions = [_uniform(generator, batch, config.dots, 2) * (SIDE - 2 * _MARGIN_PIXELS)]
    for _ in range(config.steps):
        angle = 2.0 * math.pi * _uniform(generator, batch, config.dots)
        length = STEP_PIXELS * _uniform(generator, batch, config.dots)
        length[:, 2:] = 0.0
        step = length[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
        positions.append((positions[-1] + step).clamp(0.0, SIDE - 2 * _MARGIN_PIXELS))
    pixels = torch.stack(positions, dim=1) + _MARGIN_PIXELS
    images = _spots(pixels)
    if config.noise != "none":
        images = images + config.strength * _noise(config, images.shape, generator)
    return Dots(images, pixels[:, :, 0].diff(dim=1) / STEP_PIXELS, pixels / SIDE)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator)


def _spots(pixels: Float[Tensor, "batch time dots 2"]) -> Float[Tensor, "batch time dots 28 28"]:
    """Gaussian blobs."""
    centres = torch.arange(SIDE) + 0.5
    rows, columns = (
        torch.exp(-0.5 * ((centres - position[..., None]) / _DOT_PIXELS).square())
        for position in pixels.unbind(-1)
    )
    return rows[..., :, None] * columns[..., None, :]


def _noise(
    config: DotsConfig, shape: torch.Size, generator: torch.Generator
) -> Float[Tensor, "batch frames dots 28 28"]:
    """One pattern a frame, or one a sequence."""
    batch, frames = shape[0], 1 if config.fixed else shape[1]
    if config.noise == "uniform":
        return _uniform(generator, batch, frames, *shape[2:])
    coarse = _uniform(generator, batch * frames, config.dots, _PATCHES, _PATCHES)
    smooth = functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")
    return smooth.unflatten(0, (batch, frames))
