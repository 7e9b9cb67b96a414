"""Rows of tables of bytes, as the simulator reads its images: without waking torch's threads."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from . import take_cpu
from .dispatch import paired


def _take_by_numpy(
    table: UInt8[Tensor, "rows *rest"], row: Int[Tensor, " n"]
) -> UInt8[Tensor, "n *rest"]:
    # A kernel is no faster than numpy, which copies on one thread; torch wakes its own.
    return torch.from_numpy(np.take(table.numpy(), row.numpy(), axis=0))


@paired(_take_by_numpy, when=lambda table, row: table.is_cpu)
def take(table: UInt8[Tensor, "rows *rest"], row: Int[Tensor, " n"]) -> UInt8[Tensor, "n *rest"]:
    """``table[row]`` for large rows."""
    return table.index_select(0, row)


def _take_fractions_compiled(
    table: UInt8[Tensor, "rows *rest"], row: Int[Tensor, " n"]
) -> Float[Tensor, "n *rest"]:
    rows = torch.empty(len(row), *table.shape[1:])
    shared = (table.flatten(1).numpy(), np.float32(1 / 255))
    take_cpu.take_scaled(row, rows.flatten(1), shared=shared)
    return rows


@paired(_take_fractions_compiled, take_cpu.take_scaled, when=lambda table, row: table.is_cpu)
def take_fractions(
    table: UInt8[Tensor, "rows *rest"], row: Int[Tensor, " n"]
) -> Float[Tensor, "n *rest"]:
    """``table[row] / 255``, likewise, in one pass."""
    return table.index_select(0, row) / 255.0
