"""Predictors of the next embedding from an embedding (state) and actions and latents (input)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..runtime.errors import InputError
from .dropout import MapDropout


def _require_dropout(dropout: float) -> None:
    if not 0.0 <= dropout < 1.0:
        raise InputError(f"predictor: dropout {dropout} must be from 0 to below 1")


def _kernel_size(grid: tuple[int, int]) -> int:
    return 1 if grid == (1, 1) else 3


@dataclass(frozen=True)
class GruConfig:
    """A gated recurrent unit whose hidden state is the embedding; convolutional on maps.

    Attributes:
        dropout: of the features from which the candidate state is computed.
    """

    dropout: float = 0.0

    def __post_init__(self):
        _require_dropout(self.dropout)

    def build(self, features: int, inputs: int, grid: tuple[int, int]) -> nn.Module:
        """A newly initialised predictor."""
        return _Gru(features, inputs, _kernel_size(grid), self.dropout)


class _Gru(nn.Module):
    def __init__(self, features: int, inputs: int, kernel: int, dropout: float):
        super().__init__()
        self.gates = nn.Conv2d(features, 2 * features, kernel, padding="same")
        self.candidate = nn.Conv2d(features, features, kernel, padding="same")
        self.input = nn.Linear(inputs, 3 * features, bias=False)
        self.dropout = MapDropout(dropout, features)

    def forward(
        self,
        state: Float[Tensor, "batch features rows columns"],
        input: Float[Tensor, "batch inputs"],
    ) -> Float[Tensor, "batch features rows columns"]:
        """The next embedding."""
        update_input, reset_input, new_input = self.input(input)[..., None, None].chunk(3, dim=1)
        update_state, reset_state = self.gates(state).chunk(2, dim=1)
        update = torch.sigmoid(update_input + update_state)
        reset = torch.sigmoid(reset_input + reset_state) * self.dropout(state)
        return update * state + (1.0 - update) * torch.tanh(new_input + self.candidate(reset))


@dataclass(frozen=True)
class ResidualConfig:
    """A residual block of convolutions.

    Attributes:
        hidden: width between them.
        dropout: between them.
    """

    hidden: int = 64
    dropout: float = 0.1

    def __post_init__(self):
        _require_dropout(self.dropout)
        if self.hidden < 1:
            raise InputError(f"predictor: hidden {self.hidden} must be positive")

    def build(self, features: int, inputs: int, grid: tuple[int, int]) -> nn.Module:
        """A newly initialised predictor."""
        return _Residual(features, inputs, _kernel_size(grid), self)


class _Residual(nn.Module):
    def __init__(self, features: int, inputs: int, kernel: int, config: ResidualConfig):
        super().__init__()
        self.first = nn.Conv2d(features, config.hidden, kernel, padding="same")
        self.input = nn.Linear(inputs, config.hidden, bias=False)
        self.middle = nn.Conv2d(config.hidden, config.hidden, kernel, padding="same")
        self.dropout = MapDropout(config.dropout, config.hidden)
        self.last = nn.Conv2d(config.hidden, features, kernel, padding="same")

    def forward(
        self,
        state: Float[Tensor, "batch features rows columns"],
        input: Float[Tensor, "batch inputs"],
    ) -> Float[Tensor, "batch features rows columns"]:
        """The next embedding."""
        hidden = self.first(state) + self.input(input)[..., None, None]
        hidden = self.dropout(self.middle(functional.relu(hidden)))
        return state + self.last(functional.relu(hidden))
