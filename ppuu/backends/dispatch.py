"""Loops compiled by numba beside tensor operations: when they apply, and how they share threads.

Where numbers lie in main memory and no gradient is wanted, one compiled pass over the data beats
a tensor operation for every step of a formula, with its temporaries and its overhead.  The tensor
operations stay: for gradients, for GPUs, and as what the loops are tested against.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numba import njit
from torch import Tensor

_SMALLEST_COPY = 256


def applies(*tensors: Tensor) -> bool:
    """Whether tensors can be handed to loops: float32 in main memory, no gradient wanted."""
    plain = all(tensor.dtype == torch.float32 and tensor.is_cpu for tensor in tensors)
    return plain and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))


def plain(*tensors: Tensor) -> bool:
    """Whether loops with gradients of their own can serve: numbers of one kind, in main memory.

    Inside ``torch.vmap`` tensors are batches in disguise, which no loop can read.
    """
    kinds = {tensor.dtype for tensor in tensors}
    return len(kinds) == 1 and all(
        tensor.is_cpu and tensor.is_floating_point() and not _in_vmap(tensor) for tensor in tensors
    )


def single(*tensors: Tensor) -> bool:
    """``plain`` in single precision, which loops with constants of their own are compiled for."""
    return tensors[0].dtype == torch.float32 and plain(*tensors)


@functools.lru_cache(maxsize=64)
def owners(rows: int, owners: int) -> Int[Tensor, " rows"]:
    """Which of so many owners each row belongs to, equally many of them in a row."""
    return torch.arange(rows) // (rows // owners)


def _in_vmap(tensor: Tensor) -> bool:
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # type: ignore[attr-defined]


def in_parts(loop: Callable, smallest: int, shared: tuple, *batched: Tensor) -> None:
    """Runs ``loop(*batched, *shared)`` on parts of the batch side by side.

    As many parts as torch has threads, so ``torch.set_num_threads`` governs both.

    Args:
        loop: compiled with ``nogil``; writes its results into some of the tensors.
        smallest: elements of a part for which another thread pays.
        shared: arrays and numbers that all parts need.
        batched: ``(batch, ...)`` each; those that are written must be contiguous.
    """
    arrays = [tensor.detach().contiguous().numpy() for tensor in batched]
    count = len(arrays[0])
    parts = max(1, min(torch.get_num_threads(), count // smallest))
    edges = [count * part // parts for part in range(parts + 1)]

    part = functools.partial(_part, loop, arrays, shared)
    pairs = zip(edges[1:-1], edges[2:], strict=True)
    pending = [_pool(os.getpid()).submit(part, *pair) for pair in pairs]
    part(edges[0], edges[1])
    for work in pending:
        work.result()


def _part(
    loop: Callable, arrays: Sequence[np.ndarray], shared: tuple, first: int, last: int
) -> None:
    loop(*(array[first:last] for array in arrays), *shared)


def take(table: UInt8[Tensor, "rows *rest"], row: Int[Tensor, " n"]) -> UInt8[Tensor, "n *rest"]:
    """``table[row]`` for large rows of bytes, without waking torch's threads."""
    if not table.is_cpu:
        return table.index_select(0, row)
    taken = table.new_empty(len(row), *table.shape[1:])
    in_parts(_take, _SMALLEST_COPY, (table.flatten(1).numpy(),), row, taken.flatten(1))
    return taken


def take_shares(
    table: UInt8[Tensor, "rows *rest"], row: Int[Tensor, " n"]
) -> Float[Tensor, "n *rest"]:
    """``table[row] / 255``, likewise, in one pass."""
    if not table.is_cpu:
        return table.index_select(0, row) / 255.0
    taken = torch.empty(len(row), *table.shape[1:])
    shared = (table.flatten(1).numpy(), np.float32(1 / 255))
    in_parts(_take_scaled, _SMALLEST_COPY, shared, row, taken.flatten(1))
    return taken


@njit(nogil=True, cache=True)
@no_type_check
def _take(row, out, table):
    for k in range(len(row)):
        # Assigning whole rows is ten times slower: numba does not see that it may copy blocks.
        first = row[k]
        for j in range(table.shape[1]):
            out[k, j] = table[first, j]


@njit(nogil=True, cache=True)
@no_type_check
def _take_scaled(row, out, table, unit):
    for k in range(len(row)):
        first = row[k]
        for j in range(table.shape[1]):
            out[k, j] = unit * table[first, j]


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process; a forked child starts its own."""
    return ThreadPoolExecutor(thread_name_prefix="ppuu-loop")
