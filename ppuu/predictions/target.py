"""What really followed a history: what predictions are held against."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

_AWAY_M = 1e5
"""Position given to vehicles without a recorded state; far from everything."""


@dataclass(frozen=True)
class TargetConfig:
    """What a model wants to be held against.

    Attributes:
        tracks: states of the tracked vehicles.
        images: vehicles and road as images, from the model's poses.
        road_at_every_step: whether the road is wanted at every step; one, drawn at random, will
            do where the model carries it along.
        flow: how the pixels of the last image move.
    """

    tracks: bool = False
    images: bool = False
    road_at_every_step: bool = False
    flow: bool = False


@dataclass(frozen=True, eq=False)
class Target:
    """What followed, at a model's steps, as far as it was wanted.

    Attributes:
        ego: ``(batch, time, 4)`` the ego's recorded states.
        tracks: ``(batch, slots, time, 4)`` of the tracked vehicles.
        valid: ``(batch, slots, time)`` where the recording has them.
        images: what was to be seen.
    """

    ego: Float[Tensor, "batch time 4"]
    tracks: Float[Tensor, "batch slots time 4"] | None = None
    valid: Bool[Tensor, "batch slots time"] | None = None
    images: ImageTarget | None = None

    @property
    def placed_tracks(self) -> Float[Tensor, "batch slots time 4"]:
        """The tracks; a vehicle without a recorded state is far from everything."""
        assert self.tracks is not None
        assert self.valid is not None
        states = self.tracks.clone()
        states[..., 0] += _AWAY_M * ~self.valid
        return states

    def repeat(self, copies: int) -> Target:
        """Every element of the batch ``copies`` times in a row; of tracks alone."""
        assert self.images is None, "images are compared with one sample at a time"
        tensors = (self.ego, self.tracks, self.valid)
        return Target(*(t if t is None else t.repeat_interleave(copies, 0) for t in tensors))


@dataclass(frozen=True, eq=False)
class ImageTarget:
    """What was to be seen from a model's image poses.

    Attributes:
        vehicles: ``(batch, time, rows, columns)``.
        road: ``(batch, some, 2, rows, columns)`` at some of the steps.
        road_step: ``(some,)`` which steps those are.
        flow: ``(batch, time, 2, rows, columns)`` where each vehicle pixel of the last image went,
            in metres; teaches models that carry pixels along what image errors alone teach slowly.
        flow_valid: ``(batch, time, rows, columns)`` where the flow is known.
    """

    vehicles: Float[Tensor, "batch time rows columns"]
    road: Float[Tensor, "batch some 2 rows columns"]
    road_step: Int[Tensor, " some"]
    flow: Float[Tensor, "batch time 2 rows columns"] | None = None
    flow_valid: Bool[Tensor, "batch time rows columns"] | None = None
