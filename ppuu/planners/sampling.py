"""Planners that sample: what they share, and plain random shooting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search


@dataclass(frozen=True)
class NoiseConfig:
    """How samples differ from the mean.

    Attributes:
        deviation: in units of the bounds.
        colour: exponent of the noise's power spectrum (Pinneri et al., 2020): 0 is white, 2 makes
            neighbouring actions alike, so that samples are manoeuvres and not jitter.
    """

    deviation: float = 0.5
    colour: float = 2.0

    def __post_init__(self):
        if not self.deviation > 0 or self.colour < 0:
            raise InputError(f"noise: deviation must be positive, colour not negative: {self}")


def coloured_noise(
    shape: tuple[int, int, int], colour: float, generator: torch.Generator, like: Tensor
) -> Float[Tensor, "candidates horizon actions"]:
    """Gaussian noise of unit variance, its power falling with frequency to the power ``colour``.

    One draw for all elements of a batch, for ``like`` only tells type and device.
    """
    white = torch.randn(shape, generator=generator, dtype=like.dtype, device=generator.device)
    white = white.to(like.device)
    horizon = shape[1]
    if colour == 0 or horizon < 2:
        return white
    frequency = torch.fft.rfftfreq(horizon, device=like.device, dtype=like.dtype)
    frequency[0] = frequency[1]
    scale = frequency ** (-0.5 * colour)
    noise = torch.fft.irfft(torch.fft.rfft(white, dim=1) * scale[:, None], n=horizon, dim=1)
    # White noise has unit power at every frequency; keep the total.  All frequencies but the
    # first, and the last of an even horizon, count twice.
    twice = torch.full_like(scale, 2.0)
    twice[0] = 1.0
    if horizon % 2 == 0:
        twice[-1] = 1.0
    return noise / ((twice * scale.square()).sum() / horizon).sqrt()


@dataclass(frozen=True)
class RandomShooting(Planner):
    """The best of many samples around the starts.

    Attributes:
        candidates: in all.
        noise: how they differ from the starts.
    """

    candidates: int = 512
    noise: NoiseConfig = NoiseConfig()

    def __post_init__(self):
        if self.candidates < 1:
            raise InputError(f"candidates must be positive: {self}")

    def plan(
        self,
        cost: CostFunction,
        starts: Float[Tensor, "batch starts horizon actions"],
        generator: torch.Generator,
        deadline_s: float | None = None,
    ) -> Plan:
        """One round of samples, the starts among them."""
        given, horizon, actions = starts.shape[1:]
        each = -(-self.candidates // given)
        shape = (given * each, horizon, actions)
        noise = coloured_noise(shape, self.noise.colour, generator, starts)
        around = starts.repeat_interleave(each, 1) + self.noise.deviation * noise
        candidates = torch.cat([starts, around.clamp(-1.0, 1.0)], dim=1)
        search = Search(deadline_s)
        with torch.no_grad():
            search.see(candidates, cost(candidates))
        return search.plan()
