"""From an embedding and an input to the next embedding.

The embedding is the state, actions and latents are the input.
"""

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
        raise InputError(f"dropout {dropout} of a predictor: must be from 0 to below 1")


def _kernel(grid: tuple[int, int]) -> int:
    return 1 if grid == (1, 1) else 3


@dataclass(frozen=True)
class GruConfig:
    """A gated recurrent unit whose hidden state is the embedding; convolutional on maps.

    Attributes:
        dropout: of the features that the candidate state sees.
    """

    dropout: float = 0.0

    def __post_init__(self):
        _require_dropout(self.dropout)

    def build(self, features: int, inputs: int, grid: tuple[int, int]) -> nn.Module:
        """A freshly initialised predictor."""
        return _Gru(features, inputs, _kernel(grid), self.dropout)


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
        keep, reset, new = self.input(input)[..., None, None].chunk(3, dim=1)
        old_keep, old_reset = self.gates(state).chunk(2, dim=1)
        keep = torch.sigmoid(keep + old_keep)
        known = torch.sigmoid(reset + old_reset) * self.dropout(state)
        return keep * state + (1.0 - keep) * torch.tanh(new + self.candidate(known))


@dataclass(frozen=True)
class ResidualConfig:
    """Convolutions whose result is added to the embedding.

    Attributes:
        hidden: width between them.
        dropout: between them.
    """

    hidden: int = 64
    dropout: float = 0.1

    def __post_init__(self):
        _require_dropout(self.dropout)
        if self.hidden < 1:
            raise InputError(f"hidden width {self.hidden} of a predictor: must be positive")

    def build(self, features: int, inputs: int, grid: tuple[int, int]) -> nn.Module:
        """A freshly initialised predictor."""
        return _Residual(features, inputs, _kernel(grid), self)


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
