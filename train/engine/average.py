"""A moving average of the weights, which evaluates better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Exponential moving average of a module's parameters; buffers are the module's own.

    The decay rises to its value (``(1 + n) / (10 + n)`` after ``n`` updates, as TensorFlow's
    ``ExponentialMovingAverage`` does), so the initial weights are soon forgotten.

    Args:
        module: what is trained.
        decay: fraction of the average that an update keeps.
    """

    def __init__(self, module: nn.Module, decay: float):
        self._module, self._decay = module, decay
        self._values = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Averages in the current weights.

        Args:
            updates: done so far.
        """
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for name, parameter in self._module.named_parameters():
            self._values[name].lerp_(parameter, 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module holds the average until the block ends."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Tensor]:
        """The module's state with the average in the parameters' place."""
        with self.in_place():
            return {name: value.clone() for name, value in self._module.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores the average from an earlier ``state_dict``."""
        for name, value in self._values.items():
            value.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._module.named_parameters():
            current = parameter.clone()
            parameter.copy_(self._values[name])
            self._values[name].copy_(current)
