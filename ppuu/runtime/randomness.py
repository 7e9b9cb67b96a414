"""Random numbers as an argument: drawn from a generator, for tensors wherever they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normal(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers of ``like``'s type and device."""
    return torch.randn(*shape, generator=generator, device=generator.device).to(like)


def uniform(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Numbers from 0 to below 1, of ``like``'s type and device."""
    return torch.rand(*shape, generator=generator, device=generator.device).to(like)


def integer(below: int, generator: torch.Generator) -> int:
    """A whole number from 0 to below another."""
    return int(torch.randint(below, (), generator=generator, device=generator.device))
