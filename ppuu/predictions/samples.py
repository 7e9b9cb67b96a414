"""Interleaving samples of several predictions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def interleave_tensors(values: Sequence[Tensor], dim: int, samples: int) -> Tensor:
    """Slices along a dimension: the first of each tensor, then the second of each, …"""
    return torch.stack(list(values), dim=dim + 1).flatten(dim, dim + 1).narrow(dim, 0, samples)
