"""Which of two implementations computes a function: compiled kernels or tensor operations.

In main memory one compiled pass over the data beats a tensor operation for every step of a
formula, with its temporaries and its overhead.  The tensor operations serve GPUs, the gradients
that a kernel has none of, and as the reference that kernels are tested against
(``tests/ppuu/backends``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .kernel import Kernel

_P = ParamSpec("_P")
_R = TypeVar("_R")
_only_tensors = ContextVar("only_tensors", default=False)


class Paired(Generic[_P, _R]):
    """A function, or a method, with two implementations.

    A call takes the compiled one where ``applies`` says that its kernels can read the arguments.

    Attributes:
        tensors: made of tensor operations.
        compiled: launches kernels; takes the same arguments and gives the same result, to rounding.
        kernels: that ``compiled``, or the gradient of its result, launches.
        applies: whether ``compiled`` can serve; takes the same arguments.
    """

    def __init__(
        self,
        tensors: Callable[_P, _R],
        compiled: Callable[_P, _R],
        kernels: tuple[Kernel, ...],
        applies: Callable[_P, bool],
    ):
        functools.update_wrapper(self, tensors)
        self.tensors, self.compiled = tensors, compiled
        self.kernels, self.applies = kernels, applies

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not _only_tensors.get() and self.applies(*args, **kwargs):
            return self.compiled(*args, **kwargs)
        return self.tensors(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., _R]:
        return self if instance is None else MethodType(self, instance)


def paired(
    compiled: Callable[_P, _R], *kernels: Kernel, when: Callable[..., bool]
) -> Callable[[Callable[_P, _R]], Paired[_P, _R]]:
    """Pairs a function in tensor operations with a compiled implementation.

    The decorated function runs the compiled one where ``when`` holds, otherwise its own body, which
    is also what the compiled one is tested against (``tests/ppuu/backends/test_parity.py``).

    Args:
        compiled, kernels: as of ``Paired``.
        when: its ``applies``: one of the conditions below, of the tensors among the arguments.
    """

    def pair(tensors: Callable[_P, _R]) -> Paired[_P, _R]:
        return Paired(tensors, compiled, kernels, when)

    return pair


@contextmanager
def only_tensors() -> Iterator[None]:
    """Inside, every paired function takes its tensor operations: the reference for kernels."""
    token = _only_tensors.set(True)
    try:
        yield
    finally:
        _only_tensors.reset(token)


def skips_rows(tensor: Tensor) -> bool:
    """Whether code may look at data and leave out rows that do not count.

    In main memory that saves work.  On a device the processor would wait for it and no two
    steps would have the same shapes: there all rows are computed, and what does not count is
    masked.
    """
    return tensor.is_cpu and not _only_tensors.get()


def selected(mask: Bool[Tensor, "*shape"]) -> tuple[tuple[Int[Tensor, " n"], ...], Tensor]:
    """The elements that count, as indices, and a mask of these indices.

    Where rows may be skipped these are the True elements; otherwise all, with ``mask`` itself.
    """
    if skips_rows(mask):
        index = mask.nonzero(as_tuple=True)
        return index, torch.ones_like(index[0], dtype=torch.bool)
    number = torch.arange(mask.numel(), device=mask.device)
    return torch.unravel_index(number, mask.shape), mask.flatten()


def constant_float32(*tensors: Tensor) -> bool:
    """Whether kernels without gradients can serve: float32 in main memory, no gradient wanted."""
    readable = all(tensor.dtype == torch.float32 and tensor.is_cpu for tensor in tensors)
    return readable and not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors))


def floating(*tensors: Tensor) -> bool:
    """Whether kernels with gradients of their own can serve: of one precision, in main memory.

    Inside ``torch.vmap`` tensors are batches in disguise, which no kernel can read.
    """
    dtypes = {tensor.dtype for tensor in tensors}
    return len(dtypes) == 1 and all(
        tensor.is_cpu and tensor.is_floating_point() and not _in_vmap(tensor) for tensor in tensors
    )


def float32(*tensors: Tensor) -> bool:
    """``floating`` in single precision, for kernels that compute with float32 constants."""
    return tensors[0].dtype == torch.float32 and floating(*tensors)


def wants_gradient(tensor: Tensor) -> bool:
    """Whether a result that depends on a tensor has to carry its gradient."""
    return torch.is_grad_enabled() and tensor.requires_grad


def _in_vmap(tensor: Any) -> bool:
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # type: ignore[attr-defined]
