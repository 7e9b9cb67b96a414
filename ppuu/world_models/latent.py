"""The latent variable of a world model: diagonal Gaussians, and initialisation of their heads."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..runtime.randomness import normal

_MIN_LOG_VARIANCE, _MAX_LOG_VARIANCE = -8.0, 4.0
_INITIAL_LOG_VARIANCE = -2.0


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
        """From a head's output: means, then log-variances, which are clamped."""
        mean, log_variance = parameters.chunk(2, dim=-1)
        return cls(mean, log_variance.clamp(_MIN_LOG_VARIANCE, _MAX_LOG_VARIANCE))

    def reparameterize(self, noise: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The sample that corresponds to standard normal noise."""
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def noise(self, sample: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """The standard normal noise that corresponds to a sample."""
        return (sample - self.mean) * torch.exp(-0.5 * self.log_variance)

    def sample(self, generator: torch.Generator) -> Float[Tensor, "batch latent"]:
        """A reparameterized sample."""
        return self.reparameterize(normal(self.mean.shape, generator, self.mean))

    def detach(self) -> Latent:
        """The same without gradients."""
        return Latent(self.mean.detach(), self.log_variance.detach())

    def divergence(self, prior: Latent | None = None) -> Float[Tensor, " batch"]:
        """KL divergence from a prior, by default the standard normal, in nats."""
        prior = prior or Latent.standard(self.mean)
        log_ratio = self.log_variance - prior.log_variance
        distance = (self.mean - prior.mean).square() * (-prior.log_variance).exp()
        return 0.5 * (log_ratio.exp() + distance - 1.0 - log_ratio).sum(-1)


def init_posterior(last: nn.Linear) -> nn.Linear:
    """Initialises the last layer of a posterior head.

    Starts with log-variance -2, so that the latent is informative early in training.
    """
    nn.init.constant_(last.bias[last.out_features // 2 :], _INITIAL_LOG_VARIANCE)
    return last


def zero_init(last: nn.Module) -> nn.Module:
    """Initialises a last layer with zeros."""
    for parameter in last.parameters(recurse=False):
        nn.init.zeros_(parameter)
    return last
