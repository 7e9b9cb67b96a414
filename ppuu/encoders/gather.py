"""Statistics over the batches of all processes, with the gradient of the joint batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from .unrolled import Unrolled


class _Gather(torch.autograd.Function):
    """Concatenates along the batch; what all ranks make of a rank's part flows back to it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous()
        dist.all_reduce(total)
        return total.chunk(dist.get_world_size())[dist.get_rank()]


def gathered(values: Float[Tensor, "batch *shape"]) -> Float[Tensor, "joint *shape"]:
    """The joint batch of all ranks, in the order of ranks; the batch itself if there is one rank.

    A loss of the joint batch that every rank computes gets the gradient of one process with that
    batch, once the gradients of the weights are averaged over the ranks.  All ranks must bring
    batches of one size.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return values
    return _Gather.apply(values)  # type: ignore[no-any-return]


def gather(unrolled: Unrolled) -> Unrolled:
    """The sequences of all ranks."""
    return unrolled.each(gathered)
