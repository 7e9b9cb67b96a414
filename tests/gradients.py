"""Values and gradients of functions of tensors, compiled and by tensor operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppuu.backends import dispatch


def value_and_gradients(
    function: Callable[..., Tensor], leaves: Sequence[Tensor], seed=1
) -> tuple[Tensor, ...]:
    """The value, and the gradients of a random weighting of it, so that nothing cancels."""
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    found = function(*leaves)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(found.shape, generator=generator, dtype=found.dtype)
    return found.detach(), *torch.autograd.grad((found * weight).sum(), leaves)


def both_ways(monkeypatch, function: Callable[..., Tensor], leaves: Sequence[Tensor]):
    """``value_and_gradients`` by a compiled pass, and by the tensor operations it stands for."""
    single, answers = dispatch.single, []

    def noted(*tensors):
        answers.append(single(*tensors))
        return answers[-1]

    monkeypatch.setattr(dispatch, "single", noted)
    fast = value_and_gradients(function, leaves)
    assert answers and all(answers), "no compiled pass was taken"
    monkeypatch.setattr(dispatch, "single", lambda *tensors: False)
    slow = value_and_gradients(function, leaves)
    monkeypatch.setattr(dispatch, "single", single)
    return fast, slow


def assert_alike(one: Sequence[Tensor], other: Sequence[Tensor], share=1e-5) -> None:
    """Up to a share of the largest number, none of which may be nothing."""
    for a, b in zip(one, other, strict=True):
        largest = float(b.abs().max())
        assert largest > 1e-3
        torch.testing.assert_close(a, b, atol=share * largest, rtol=1e-4)


def cosine(one: Tensor, other: Tensor) -> float:
    """Of the angle between two gradients."""
    return float((one * other).sum() / (one.norm() * other.norm()))
