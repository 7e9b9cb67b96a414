"""A numba loop over a batch, run on parts of it side by side."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


class Kernel:
    """A compiled loop and the smallest batch for which another thread pays.

    Kernels have as many threads as torch, so ``torch.set_num_threads`` governs both.  Each has a
    twin made of tensor operations (``dispatch.paired``).

    Args:
        loop: compiled with ``nogil``; called as ``loop(*batched, *shared)``, it writes its results
            into some of the arrays.
        smallest_part: elements of the batch; waking a thread for fewer takes longer than computing
            them.

    Attributes:
        name: of its module and its loop.
    """

    def __init__(self, loop: Callable, smallest_part: int):
        self.loop, self.smallest_part = loop, smallest_part
        self.name = f"{loop.__module__.rpartition('.')[2]}.{loop.__name__}"
        self.__doc__ = loop.__doc__

    def __call__(self, *batched: Tensor, shared: tuple = (), one_part: bool = False) -> None:
        """Runs the loop on all elements of the batch.

        Args:
            batched: ``(batch, ...)`` each; those that are written must be contiguous.
            shared: arrays and numbers that all parts need.
            one_part: whether elements write to the same memory, so that one thread takes them all.
        """
        arrays = [tensor.detach().contiguous().numpy() for tensor in batched]
        count = len(arrays[0])
        parts = 1 if one_part else min(torch.get_num_threads(), count // self.smallest_part)
        parts = max(1, parts)
        edges = [count * part // parts for part in range(parts + 1)]

        part = functools.partial(_part, self.loop, arrays, shared)
        pairs = zip(edges[1:-1], edges[2:], strict=True)
        pending = [_pool(os.getpid()).submit(part, *pair) for pair in pairs]
        part(edges[0], edges[1])
        for work in pending:
            work.result()


def kernel(smallest_part: int) -> Callable[[Callable], Kernel]:
    """Makes a compiled loop a ``Kernel``."""
    return functools.partial(Kernel, smallest_part=smallest_part)


@functools.lru_cache(maxsize=64)
def owners(rows: int, owners: int) -> Int[Tensor, " rows"]:
    """The owner of each row where every owner has equally many consecutive rows."""
    return torch.arange(rows) // (rows // owners)


def _part(
    loop: Callable, arrays: Sequence[np.ndarray], shared: tuple, first: int, last: int
) -> None:
    loop(*(array[first:last] for array in arrays), *shared)


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of this process; a forked child starts its own."""
    return ThreadPoolExecutor(thread_name_prefix="ppuu-kernel")
