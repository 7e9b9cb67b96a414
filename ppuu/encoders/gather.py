"""Gathers the batches of all processes, with the gradient of the joint batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from .embedding_rollout import EmbeddingRollout


class _Gather(torch.autograd.Function):
    """Concatenates along the batch; the gradients of all ranks are summed for each rank's part."""

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


def all_gather(values: Float[Tensor, "batch *shape"]) -> Float[Tensor, "joint *shape"]:
    """The joint batch of all ranks, in rank order; the batch itself if there is one rank.

    If every rank computes the loss of the joint batch, averaging the weights' gradients over the
    ranks gives the gradient of a single process with that batch.  All ranks need batches of the
    same size.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return values
    return _Gather.apply(values)  # type: ignore[no-any-return]


def gather(rollout: EmbeddingRollout) -> EmbeddingRollout:
    """The sequences of all ranks."""
    return rollout.map(all_gather)
