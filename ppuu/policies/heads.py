"""Action heads: from features to an action, or a distribution of actions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..kinematics import ActionBounds
from ..runtime.randomness import normal, uniform

_MIN_LOG_STD, _MAX_LOG_STD = -4.0, 1.0
"""Bounds of the logarithm of the standard deviation, in units of the experts' actions'."""


@dataclass(frozen=True, eq=False)
class ActionScale:
    """Physical scale of the actions.

    Attributes:
        max_action: ``(batch, 2)`` bounds; means are a tanh of this size.
        std: ``(2,)`` standard deviation of the experts' actions.
    """

    max_action: Float[Tensor, "batch 2"]
    std: Float[Tensor, "2"]


class ActionHead(nn.Module, ABC):
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
        scale: ActionScale,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """The action in physical units: a sample with a generator, else the most likely action."""

    @abstractmethod
    def negative_log_likelihood(
        self,
        features: Float[Tensor, "batch features"],
        action: Float[Tensor, "batch 2"],
        scale: ActionScale,
    ) -> Float[Tensor, " batch"]:
        """Negative log-likelihood of an action in nats, up to a constant."""


class DeterministicHead(ActionHead):
    """A single action; its likelihood is a Gaussian with the experts' standard deviation."""

    def __init__(self, inputs: int):
        super().__init__(inputs, 2)

    def forward(
        self,
        features: Float[Tensor, "batch features"],
        scale: ActionScale,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """The action; the generator is not used."""
        return torch.tanh(self.last(features)) * scale.max_action

    def negative_log_likelihood(
        self,
        features: Float[Tensor, "batch features"],
        action: Float[Tensor, "batch 2"],
        scale: ActionScale,
    ) -> Float[Tensor, " batch"]:
        """Half the squared error in units of the experts' standard deviation."""
        return (0.5 * ((self(features, scale) - action) / scale.std) ** 2).sum(-1)


class GaussianMixtureHead(ActionHead):
    """A mixture of diagonal Gaussians (Bishop, 1994); with one component, a Gaussian policy.

    Samples are reparameterised within their component.

    Args:
        inputs: width of the features.
        components: number of Gaussians.
        bounds: to which samples are clamped.
    """

    def __init__(self, inputs: int, components: int, bounds: ActionBounds):
        super().__init__(inputs, 5 * components)
        self.bounds = bounds
        with torch.no_grad():  # distinct initial means, since equal components stay equal
            offsets = torch.linspace(-1.0, 1.0, components) if components > 1 else torch.zeros(1)
            self.last.bias.view(components, 5)[:, 1] = 0.2 * offsets

    def _components(
        self, features: Float[Tensor, "batch features"], scale: ActionScale
    ) -> tuple[
        Float[Tensor, "batch components"],
        Float[Tensor, "batch components 2"],
        Float[Tensor, "batch components 2"],
    ]:
        """Logarithms of the weights, means, and logarithms of the standard deviations."""
        output = self.last(features).unflatten(1, (-1, 5))
        log_std = output[..., 3:].clamp(_MIN_LOG_STD, _MAX_LOG_STD)
        mean = torch.tanh(output[..., 1:3]) * scale.max_action[:, None]
        return output[..., 0].log_softmax(-1), mean, log_std

    def forward(
        self,
        features: Float[Tensor, "batch features"],
        scale: ActionScale,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch 2"]:
        """A sample with a generator, else the mean of the most likely component."""
        log_weight, mean, log_std = self._components(features, scale)
        component = log_weight.argmax(1, keepdim=True)
        if generator is not None:
            quantile = uniform((len(log_weight), 1), generator, log_weight)
            below = log_weight.detach().exp().cumsum(1) < quantile
            component = below.sum(1, keepdim=True).clamp(max=log_weight.shape[1] - 1)
        component = component[..., None].expand(-1, -1, 2)
        action = mean.gather(1, component)[:, 0]
        if generator is not None:
            std = log_std.gather(1, component)[:, 0].exp() * scale.std
            action = self.bounds.clamp(action + std * normal(action.shape, generator, action))
        return action

    def negative_log_likelihood(
        self,
        features: Float[Tensor, "batch features"],
        action: Float[Tensor, "batch 2"],
        scale: ActionScale,
    ) -> Float[Tensor, " batch"]:
        """Of the action in units of the experts' standard deviation."""
        log_weight, mean, log_std = self._components(features, scale)
        error = (action[:, None] - mean) / (scale.std * log_std.exp())
        log_density = -0.5 * error.square() - log_std - 0.5 * math.log(2 * math.pi)
        return -torch.logsumexp(log_weight + log_density.sum(-1), dim=1)


def build_head(inputs: int, bounds: ActionBounds, components: int) -> ActionHead:
    """A deterministic head for 0 components."""
    if components:
        return GaussianMixtureHead(inputs, components, bounds)
    return DeterministicHead(inputs)
