"""The latent variable of a world model: diagonal Gaussians and the heads that give them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.randomness import normal

_SMALLEST, _LARGEST = -8.0, 4.0
"""Log-variances stay within."""
_FIRST = -2.0


@dataclass(frozen=True, eq=False)
class Latent:
    """A diagonal Gaussian over the latent of one step, or of a whole rollout.

    Attributes:
        mean, log_variance: ``(batch, latent)``.
    """

    mean: Float[Tensor, "batch latent"]
    log_variance: Float[Tensor, "batch latent"]

    @classmethod
    def standard(cls, like: Float[Tensor, "batch latent"]) -> Latent:
        """The standard normal."""
        return cls(torch.zeros_like(like), torch.zeros_like(like))

    @classmethod
    def of(cls, parameters: Float[Tensor, "batch parameters"]) -> Latent:
        """What a head says: means, then log-variances."""
        mean, log_variance = parameters.chunk(2, dim=-1)
        return cls(mean, log_variance.clamp(_SMALLEST, _LARGEST))

    def at(self, noise: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The sample that standard normal noise stands for."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def noise(self, sample: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The standard normal noise that stands for a sample."""
        return (sample - self.mean) * torch.exp(-0.5 * self.log_variance)

    def sample(self, generator: torch.Generator) -> Float[Tensor, "batch latent"]:
        """A reparameterised sample."""
        return self.at(normal(self.mean.shape, generator, self.mean))

    def detach(self) -> Latent:
        """The same without gradients."""
        return Latent(self.mean.detach(), self.log_variance.detach())

    def divergence(self, prior: Latent | None = None) -> Float[Tensor, " batch"]:
        """KL divergence from a prior, the standard normal if none is given, in nats."""
        prior = prior or Latent.standard(self.mean)
        ratio = self.log_variance - prior.log_variance
        apart = (self.mean - prior.mean).square() * (-prior.log_variance).exp()
        return 0.5 * (ratio.exp() + apart - 1.0 - ratio).sum(-1)


def posterior_head(last: nn.Linear) -> nn.Linear:
    """The last layer of a posterior.

    Starts with log-variance -2, so that the latent is informative early in training.
    """
    nn.init.constant_(last.bias[last.out_features // 2 :], _FIRST)
    return last


def zero_head(last: nn.Module) -> nn.Module:
    """A last layer that says 0 at first."""
    for parameter in last.parameters(recurse=False):
        nn.init.zeros_(parameter)
    return last
