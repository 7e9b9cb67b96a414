"""Several processes train one module: the ranks of ``torchrun``, on one machine or many.

Each rank draws its own batches and computes gradients of its own copy of the weights; gradients are
averaged, so all copies take the same step.  Without ``torchrun`` there is one rank, and these
functions do nothing.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Mapping
from importlib import import_module

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ppuu.loading.runs import weights_hash
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError


class RankLostError(InputError):
    """Another rank no longer answers."""


def join(device: str) -> torch.device:
    """Joins the other ranks, if ``torchrun`` started this process, and chooses the device.

    Ranks on GPUs (NCCL) take one each, in the order of their local ranks; ranks on CPUs use Gloo.

    Args:
        device: as the command line names it.

    Raises:
        InputError: no such device, or more ranks than GPUs on this machine.
    """
    chosen = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        return chosen
    if chosen.type == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise InputError(
                f"torchrun: local rank {local} finds {gpus} GPU(s); give --nproc-per-node {gpus}"
            )
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    # Imported later, its functions would take the group as their default argument and keep it:
    # Gloo's threads would outlive ``leave``, and one that frees a tensor while Python exits aborts.
    import_module("torch.distributed.nn")
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    atexit.register(leave)
    return chosen


def leave() -> None:
    """Leaves the process group at a command's end; at the interpreter's exit Gloo may abort."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Which of the processes this is; rank 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def first() -> bool:
    """Whether this is the process that writes the files."""
    return rank() == 0


def mean(values: Mapping[str, float]) -> dict[str, float]:
    """The mean of each value over the ranks.

    Raises:
        RankLostError: a rank is lost.
    """
    if ranks() == 1:
        return dict(values)
    means = _mean(torch.tensor(list(values.values()), dtype=torch.float64, device=_device()))
    return dict(zip(values, means.tolist(), strict=True))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gives all ranks the mean of their gradients, in one message.

    A parameter that no rank has a gradient of stays without one, as with a single process.

    Raises:
        RankLostError: a rank is lost.
    """
    if ranks() == 1:
        return
    parameters = list(parameters)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    has_gradient = grads[0].new_tensor([p.grad is not None for p in parameters])
    flat = _mean(torch.cat([has_gradient, *(grad.flatten() for grad in grads)]))
    has_gradient, *means = flat.split([len(parameters), *(grad.numel() for grad in grads)])
    for parameter, mean, any_rank in zip(parameters, means, has_gradient.tolist(), strict=True):
        parameter.grad = mean.view_as(parameter) if any_rank else None


def require_agreement(module: nn.Module, step: int) -> None:
    """Refuses to begin unless all ranks hold the same weights, at the same update.

    Raises:
        InputError: they do not.
    """
    if ranks() == 1:
        return
    mine = torch.tensor([step, int(weights_hash(module)[:12], 16)], device=_device())
    theirs = mine.clone()
    dist.broadcast(theirs, 0)
    if mean({"equal": float(torch.equal(theirs, mine))})["equal"] < 1.0:
        raise InputError(
            f"rank {rank()} would begin at update {step}, and not all ranks hold the same weights; "
            "give all of them the same command and the same --out, on a shared file system"
        )


def barrier() -> None:
    """Waits for all ranks, so that what rank 0 has written is there for the others.

    Raises:
        RankLostError: a rank is lost.
    """
    mean({"reached": 1.0})


def _mean(values: Tensor) -> Tensor:
    try:
        dist.all_reduce(values)
    except RuntimeError:
        raise RankLostError(
            "another rank is gone; the checkpoint is intact; run the same command again to go on"
        ) from None
    return values / ranks()


def _device() -> str:
    """The device of messages: NCCL sends from the GPU that ``join`` has chosen."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
