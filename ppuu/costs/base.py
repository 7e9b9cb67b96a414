"""What a cost term is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout


class RasterCost(ABC):
    """A cost read off the predicted images: the image's mass under a mask that rides on the ego.

    Masks are smooth functions of the ego's pose, linear in nothing but the image, so the cost of
    many alternative futures is one product of the same mask with each of them.
    """

    @abstractmethod
    def mask(self, rollout: Rollout) -> Float[Tensor, "batch time rows columns"]:
        """Weight of each pixel; 1/m2, so that a sum over covered area is dimensionless."""

    @abstractmethod
    def image(self, rollout: Rollout) -> Float[Tensor, "batch alternatives time rows columns"]:
        """The channel the mask is laid on."""

    def per_future(self, rollout: Rollout) -> Float[Tensor, "batch alternatives time"]:
        """The cost in each alternative future."""
        area = rollout.futures.raster.metres_per_pixel**2
        mask, image = self.mask(rollout), self.image(rollout)
        return area * torch.einsum("btp,bktp->bkt", mask.flatten(2), image.flatten(3))

    def __call__(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """The mean over the alternative futures."""
        return self.per_future(rollout).mean(1)


def ramp(value: Tensor) -> Tensor:
    """0 below 0, 1 above 1, straight between."""
    return value.clamp(0.0, 1.0)
