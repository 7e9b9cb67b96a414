"""From features to an action: one, or a distribution of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..kinematics import ActionBounds
from ..runtime.randomness import normal, uniform

_NARROWEST, _WIDEST = -4.0, 1.0
"""Logarithms of the smallest and largest deviation, in units of the experts' actions'."""


class Head(nn.Module, ABC):
    """The last layer of a policy.

    Args:
        inputs: width of the features.
        outputs: of the linear layer.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.last = nn.Linear(inputs, outputs)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @abstractmethod
    def forward(
        self,
        features: Float[Tensor, "batch features"],
        largest: Float[Tensor, "batch 2"],
        deviation: Float[Tensor, "2"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """The action in physical units.

        Args:
            features: what was thought of.
            largest: actions; a mean is a tanh of this size.
            deviation: of the experts' actions.
            generator: of samples; without one, the likeliest action.
        """

    @abstractmethod
    def surprise(
        self,
        features: Float[Tensor, "batch features"],
        action: Float[Tensor, "batch 2"],
        largest: Float[Tensor, "batch 2"],
        deviation: Float[Tensor, "2"],
    ) -> Float[Tensor, " batch"]:
        """How little an action was expected, in nats up to a constant."""


class Deterministic(Head):
    """One action for what is seen; surprise is the squared error."""

    def __init__(self, inputs: int):
        super().__init__(inputs, 2)

    def forward(
        self,
        features: Float[Tensor, "batch features"],
        largest: Float[Tensor, "batch 2"],
        deviation: Float[Tensor, "2"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """The same with and without chance."""
        return torch.tanh(self.last(features)) * largest

    def surprise(
        self,
        features: Float[Tensor, "batch features"],
        action: Float[Tensor, "batch 2"],
        largest: Float[Tensor, "batch 2"],
        deviation: Float[Tensor, "2"],
    ) -> Float[Tensor, " batch"]:
        """Of a Gaussian as wide as the experts' actions are."""
        return (0.5 * ((self(features, largest, deviation) - action) / deviation) ** 2).sum(-1)


class Mixture(Head):
    """A mixture of diagonal Gaussians (Bishop, 1994); with one component, a Gaussian policy.

    Samples are reparameterised within their component.

    Args:
        inputs: width of the features.
        components: how many.
        bounds: that samples stay within.
    """

    def __init__(self, inputs: int, components: int, bounds: ActionBounds):
        super().__init__(inputs, 5 * components)
        self.bounds = bounds
        with torch.no_grad():  # components that begin alike stay alike
            spread = torch.linspace(-1.0, 1.0, components) if components > 1 else torch.zeros(1)
            self.last.bias.view(components, 5)[:, 1] = 0.2 * spread

    def _parts(
        self, features: Float[Tensor, "batch features"], largest: Float[Tensor, "batch 2"]
    ) -> tuple[
        Float[Tensor, "batch components"],
        Float[Tensor, "batch components 2"],
        Float[Tensor, "batch components 2"],
    ]:
        """Logarithms of the weights, means, and logarithms of the deviations."""
        told = self.last(features).unflatten(1, (-1, 5))
        logs = told[..., 3:].clamp(_NARROWEST, _WIDEST)
        mean = torch.tanh(told[..., 1:3]) * largest[:, None]
        return told[..., 0].log_softmax(-1), mean, logs

    def forward(
        self,
        features: Float[Tensor, "batch features"],
        largest: Float[Tensor, "batch 2"],
        deviation: Float[Tensor, "2"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """A sample if there is a generator, else the mean of the likeliest component."""
        weight, mean, log_deviation = self._parts(features, largest)
        chosen = weight.argmax(1, keepdim=True)
        if generator is not None:
            below = uniform((len(weight), 1), generator, weight)
            more = weight.detach().exp().cumsum(1) < below
            chosen = more.sum(1, keepdim=True).clamp(max=weight.shape[1] - 1)
        chosen = chosen[..., None].expand(-1, -1, 2)
        action = mean.gather(1, chosen)[:, 0]
        if generator is not None:
            width = log_deviation.gather(1, chosen)[:, 0].exp() * deviation
            action = self.bounds.clamp(action + width * normal(action.shape, generator, action))
        return action

    def surprise(
        self,
        features: Float[Tensor, "batch features"],
        action: Float[Tensor, "batch 2"],
        largest: Float[Tensor, "batch 2"],
        deviation: Float[Tensor, "2"],
    ) -> Float[Tensor, " batch"]:
        """Negative log-likelihood of the action in units of the experts' deviation."""
        weight, mean, log_deviation = self._parts(features, largest)
        off = (action[:, None] - mean) / (deviation * log_deviation.exp())
        nats = -0.5 * off.square() - log_deviation - 0.5 * math.log(2 * math.pi)
        return -torch.logsumexp(weight + nats.sum(-1), dim=1)


def head(inputs: int, bounds: ActionBounds, components: int) -> Head:
    """Deterministic without components."""
    return Mixture(inputs, components, bounds) if components else Deterministic(inputs)
