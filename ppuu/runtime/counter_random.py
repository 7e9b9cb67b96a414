"""Random numbers that are functions of counters, the same whatever is drawn beside them.

A generator's numbers depend on how many were drawn before, thus on who else is in a batch.  Here
a number depends on its counters alone (Salmon et al., 2011, "Parallel random numbers: as easy as
1, 2, 3"), and there is no state to save.  The counters are hashed by the finalizer of SplitMix64
(Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

_STEP = -7046029254386353131
_FIRST, _SECOND = -4658895280553007687, -7723592293110705685
"""The constants 0x9E37…, 0xBF58… and 0x94D0… of SplitMix64 as signed integers."""


def hashed(first: Int[Tensor, "..."], *counters: Int[Tensor, "..."] | int) -> Int[Tensor, "..."]:
    """One key of several counters, which broadcast; integers of 64 bits."""
    key = _mixed(first + _STEP)
    for counter in counters:
        key = _mixed((key ^ counter) + _STEP)
    return key


def uniform_of(key: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """A number from 0 to below 1 for each key, in double precision."""
    return _shifted(key, 11).double() * 2.0**-53


def normal_of(key: Int[Tensor, "*batch"], count: int) -> Float[Tensor, "*batch count"]:
    """Standard normal numbers for each key, in double precision (Box and Muller, 1958)."""
    number = torch.arange(count, device=key.device)
    radius = uniform_of(hashed(key[..., None], 2 * number))
    angle = uniform_of(hashed(key[..., None], 2 * number + 1))
    return (-2.0 * torch.log1p(-radius)).sqrt() * (2.0 * math.pi * angle).cos()


def _mixed(bits: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """The finalizer of SplitMix64; products wrap around."""
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Int[Tensor, "..."], places: int) -> Int[Tensor, "..."]:
    """To the right, filled with zeros."""
    return (bits >> places) & ((1 << (64 - places)) - 1)
