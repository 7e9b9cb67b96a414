"""What a cost term is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ..rollout import Rollout
from ..track_futures import TrackFutures


class SurroundingsCost(ABC):
    """A cost of where the ego is among its predicted surroundings, drawn or told as boxes.

    On images: their mass under a mask that rides on the ego.  Masks are smooth functions of the
    ego's pose, linear in nothing but the image, so the cost of many alternative futures is one
    product of the same mask with each of them.  Among boxes on a map: the same idea, exactly.
    """

    @abstractmethod
    def among_tracks(self, rollout: Rollout) -> Float[Tensor, "batch alternatives time"]:
        """The cost where the surroundings are boxes on a map."""

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
        if isinstance(rollout.futures, TrackFutures):
            return self.among_tracks(rollout)
        return self.on_images(rollout)

    def on_images(self, rollout: Rollout) -> Float[Tensor, "batch alternatives time"]:
        """The cost where the surroundings are images."""
        area = rollout.futures.raster.metres_per_pixel**2
        window = rollout.around_ego(*self.reach_m(rollout))
        mask = self.mask(rollout, window.ahead_m, window.left_m)
        image = self.image(rollout).flatten(3)
        pixel = window.pixel[:, None].expand(-1, image.shape[1], -1, -1)
        return area * torch.einsum("btp,bktp->bkt", mask, image.gather(3, pixel))

    def __call__(self, rollout: Rollout) -> Float[Tensor, "batch time"]:
        """The mean over the alternative futures."""
        return self.per_future(rollout).mean(1)


def road_under(
    rollout: Rollout,
    ahead_m: Float[Tensor, "batch points"],
    left_m: Float[Tensor, "batch points"],
) -> Float[Tensor, "batch 2 time points"]:
    """Lane-line and off-road coverage of the map at points that ride on the ego."""
    futures = rollout.futures
    assert isinstance(futures, TrackFutures)
    x, y, heading = (value[..., None] for value in rollout.states[..., :3].unbind(-1))
    cos, sin = torch.cos(heading), torch.sin(heading)
    ahead_m, left_m = ahead_m[:, None], left_m[:, None]
    return futures.road.read(x + ahead_m * cos - left_m * sin, y + ahead_m * sin + left_m * cos)


def ramp(value: Tensor) -> Tensor:
    """0 below 0, 1 above 1, straight between."""
    return value.clamp(0.0, 1.0)
