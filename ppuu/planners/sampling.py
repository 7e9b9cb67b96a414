"""Sampling planners: coloured noise, and random shooting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.errors import InputError
from .base import CostFunction, Plan, Planner, Search


@dataclass(frozen=True)
class NoiseConfig:
    """Distribution of samples around the mean.

    Attributes:
        std: standard deviation in units of the bounds.
        colour: exponent of the power spectrum (Pinneri et al., 2020): 0 is white noise, 2
            correlates successive actions.
    """

    std: float = 0.5
    colour: float = 2.0

    def __post_init__(self):
        if not self.std > 0 or self.colour < 0:
            raise InputError(f"noise: std must be positive, colour not negative: {self}")


def coloured_noise(
    shape: tuple[int, int, int], colour: float, generator: torch.Generator, like: Tensor
) -> Float[Tensor, "candidates horizon actions"]:
    """Gaussian noise of unit variance with power spectrum ``frequency ** -colour``.

    Shared by all elements of a batch; dtype and device are those of ``like``.
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
    # Normalise to the variance of white noise.  All frequencies count twice,
    # except the first and the last of an even horizon.
    multiplicity = torch.full_like(scale, 2.0)
    multiplicity[0] = 1.0
    if horizon % 2 == 0:
        multiplicity[-1] = 1.0
    return noise / ((multiplicity * scale.square()).sum() / horizon).sqrt()


@dataclass(frozen=True)
class RandomShooting(Planner):
    """The best of many samples around the starts (random shooting).

    Attributes:
        candidates: total number.
        noise: added to the starts.
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
        """The best of the samples and the starts."""
        count, horizon, actions = starts.shape[1:]
        per_start = -(-self.candidates // count)
        shape = (count * per_start, horizon, actions)
        noise = coloured_noise(shape, self.noise.colour, generator, starts)
        around = starts.repeat_interleave(per_start, 1) + self.noise.std * noise
        candidates = torch.cat([starts, around.clamp(-1.0, 1.0)], dim=1)
        search = Search(deadline_s)
        with torch.no_grad():
            search.record(candidates, cost(candidates))
        return search.plan()
