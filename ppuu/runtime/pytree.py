"""Functions of all tensors in nested dataclasses, tuples, lists and dictionaries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

Nest = TypeVar("Nest")


@runtime_checkable
class Repeatable(Protocol):
    """An object with its own way to repeat its elements, because they share tensors."""

    def repeat(self, copies: int) -> Any:
        """Every element of the batch ``copies`` times in a row."""


def mapped(nest: Nest, change: Callable[[Tensor], Tensor], whole: type | None = None) -> Nest:
    """The same structure with every tensor changed; other leaves, and a ``whole``, stay."""
    return _walk(nest, change, lambda part: part, whole)


def repeat(nest: Nest, copies: int) -> Nest:
    """Every element of a batch ``copies`` times in a row."""
    if copies == 1:
        return nest
    return _walk(
        nest, lambda t: t.repeat_interleave(copies, 0), lambda part: part.repeat(copies), Repeatable
    )


def moved(nest: Nest, device: torch.device | str) -> Nest:
    """The same structure with all of its tensors on a device."""
    return mapped(nest, lambda tensor: tensor.to(device))


def _walk(
    nest: Any, change: Callable[[Tensor], Tensor], leave: Callable[[Any], Any], whole: type | None
) -> Any:
    """Changes tensors; parts of the type ``whole`` are passed to ``leave`` unchanged."""
    if isinstance(nest, Tensor):
        return change(nest)
    if whole is not None and isinstance(nest, whole):
        return leave(nest)
    if isinstance(nest, tuple | list):
        return type(nest)(_walk(part, change, leave, whole) for part in nest)
    if isinstance(nest, dict):
        return {key: _walk(part, change, leave, whole) for key, part in nest.items()}
    if not dataclasses.is_dataclass(nest) or isinstance(nest, type):
        return nest
    parts = {one.name: getattr(nest, one.name) for one in dataclasses.fields(nest)}
    changed = {name: _walk(part, change, leave, whole) for name, part in parts.items()}
    return dataclasses.replace(nest, **changed)
