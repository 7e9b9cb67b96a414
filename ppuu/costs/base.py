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
    def reach_m(self, rollout: Rollout) -> tuple[float, float]:
        """How far ahead (or behind) and to the side the mask can be other than zero."""

    @abstractmethod
    def mask(
        self,
        rollout: Rollout,
        ahead_m: Float[Tensor, "batch time pixels"],
        left_m: Float[Tensor, "batch time pixels"],
    ) -> Float[Tensor, "batch time pixels"]:
        """Weight per square metre at points in the ego's frame."""

    @abstractmethod
    def image(self, rollout: Rollout) -> Float[Tensor, "batch alternatives time rows columns"]:
        """The channel the mask is laid on."""

    def per_future(self, rollout: Rollout) -> Float[Tensor, "batch alternatives time"]:
        """The cost in each alternative future."""
        area = rollout.futures.raster.metres_per_pixel**2
        window = rollout.around_ego(*self.reach_m(rollout))
        mask = self.mask(rollout, window.ahead_m, window.left_m)
        image = self.image(rollout).flatten(3)
        pixel = window.pixel[:, None].expand(-1, image.shape[1], -1, -1)
        return area * torch.einsum("btp,bktp->bkt", mask, image.gather(3, pixel))

    def __call__(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """The mean over the alternative futures."""
        return self.per_future(rollout).mean(1)


def ramp(value: Tensor) -> Tensor:
    """0 below 0, 1 above 1, straight between."""
    return value.clamp(0.0, 1.0)
