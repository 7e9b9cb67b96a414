"""Work shared by processes, and by several calls of one command."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

import torch

from ppuu.runtime.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_workers(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Calls a function with every item; yields each item and its result when it is done.

    Args:
        function: of a module's top level.
        items: its arguments.
        workers: number of processes; with 1 everything runs in this one, in order.

    Raises:
        InputError: the function's own, or a killed process; items not yet begun are cancelled.
    """
    if workers == 1 or len(items) <= 1:
        for item in items:
            yield item, function(item)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(items)), mp_context=get_context("spawn"), initializer=_begin_worker
    )
    with pool:
        running = {pool.submit(function, item): item for item in items}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, most likely out of memory; "
                "run the same command with fewer --workers"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)  # running items are completed


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the main process.
    torch.set_num_threads(1)


def check_workers(workers: int) -> None:
    """Refuses a number of processes below one.

    Raises:
        InputError: it is.
    """
    if workers < 1:
        raise InputError(f"--workers {workers}: give 1 or more")


def own_shard(items: Sequence[Item], shard: str) -> Sequence[Item]:
    """Every Nth item, beginning with the Ith, for the shard ``I/N``.

    Raises:
        InputError: another text than I/N, or I is not from 1 to N.
    """
    first, count = shard_numbers(shard)
    return items[first - 1 :: count]


def shard_numbers(shard: str) -> tuple[int, int]:
    """``2/3`` → (2, 3).

    Raises:
        InputError: see ``own_shard``.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    first, count = (int(number) for number in found.groups()) if found else (0, 0)
    if not 1 <= first <= count:
        raise InputError(f"--shard {shard}: give I/N, such as 2/3, with I from 1 to N")
    return first, count
