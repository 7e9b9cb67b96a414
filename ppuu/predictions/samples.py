"""Samples of several predictions as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def take_turns(values: Sequence[Tensor], dim: int, samples: int) -> Tensor:
    """Slices along a dimension of several tensors: the first of each, the second of each, …"""
    return torch.stack(list(values), dim=dim + 1).flatten(dim, dim + 1).narrow(dim, 0, samples)
