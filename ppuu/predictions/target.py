"""Targets: the recorded future that predictions are compared with."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

_AWAY_M = 1e5
"""Position given to vehicles without a recorded state; far from everything."""


@dataclass(frozen=True)
class TargetConfig:
    """Parts of the target that a model is trained and evaluated on.

    Attributes:
        tracks: states of the tracked vehicles.
        images: vehicles and road as images, centred on the model's poses.
        road_at_every_step: whether the road is drawn at every step; one random step is enough for
            models that warp it.
        flow: displacements of the last image's vehicle pixels.
    """

    tracks: bool = False
    images: bool = False
    road_at_every_step: bool = False
    flow: bool = False


@dataclass(frozen=True, eq=False)
class Target:
    """The recorded future at a model's steps.

    Attributes:
        ego: ``(batch, time, 4)`` the ego's recorded states.
        tracks: ``(batch, slots, time, 4)`` states of the tracked vehicles.
        valid: ``(batch, slots, time)`` which of them are recorded.
        images: vehicles and road as images.
    """

    ego: Float[Tensor, "batch time 4"]
    tracks: Float[Tensor, "batch slots time 4"] | None = None
    valid: Bool[Tensor, "batch slots time"] | None = None
    images: ImageTarget | None = None

    @property
    def placed_tracks(self) -> Float[Tensor, "batch slots time 4"]:
        """The tracks, with vehicles that are not recorded moved far away."""
        assert self.tracks is not None
        assert self.valid is not None
        states = self.tracks.clone()
        states[..., 0] += _AWAY_M * ~self.valid
        return states

    def repeat(self, copies: int) -> Target:
        """Every element of the batch ``copies`` times in a row; only without images."""
        assert self.images is None, "images are compared with one sample at a time"
        tensors = (self.ego, self.tracks, self.valid)
        return Target(*(t if t is None else t.repeat_interleave(copies, 0) for t in tensors))


@dataclass(frozen=True, eq=False)
class ImageTarget:
    """The recorded future as images, centred on a model's poses.

    Attributes:
        vehicles: ``(batch, time, rows, columns)``.
        road: ``(batch, some, 2, rows, columns)`` at some of the steps.
        road_step: ``(some,)`` indices of those steps.
        flow: ``(batch, time, 2, rows, columns)`` displacement of each vehicle pixel of the last
            image in metres: a direct loss for models that warp pixels, which learn slowly from
            image errors alone.
        flow_valid: ``(batch, time, rows, columns)`` where the flow is known.
    """

    vehicles: Float[Tensor, "batch time rows columns"]
    road: Float[Tensor, "batch some 2 rows columns"]
    road_step: Int[Tensor, " some"]
    flow: Float[Tensor, "batch time 2 rows columns"] | None = None
    flow_valid: Bool[Tensor, "batch time rows columns"] | None = None
