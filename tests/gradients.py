"""Values and gradients of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def value_and_gradients(
    function: Callable[..., Tensor], leaves: Sequence[Tensor], seed=1
) -> tuple[Tensor, ...]:
    """The value, and the gradients of a random weighting of it, so that nothing cancels."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    found = function(*leaves)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(found.shape, generator=generator, dtype=found.dtype)
    return found.detach(), *torch.autograd.grad((found * weight).sum(), leaves)


def cosine(one: Tensor, other: Tensor) -> float:
    """Of the angle between two gradients."""
    return float((one * other).sum() / (one.norm() * other.norm()))
