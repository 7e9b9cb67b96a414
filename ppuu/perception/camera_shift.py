"""Seams between cameras: a shift along the road that depends on the place alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..runtime.randomness import normal, uniform

_CAMERAS = 16
"""Cameras until the shifts repeat; farther away than any two vehicles that are seen together."""


@dataclass(frozen=True, eq=False)
class CameraShift:
    """Shifts drawn for some scenes.

    Every camera has an error at the beginning of its view and another one at the end; between them
    it grows evenly, and within the seam it changes to that of the next camera.

    Attributes:
        camera_m, seam_m: ``(batch,)`` lengths of a view, and of the seam in which it begins.
        first_m: ``(batch,)`` where a seam begins.
        ends_m: ``(batch, 2 * cameras)`` errors, in turn at the end of a camera's view and at the
            beginning of the next one's.
    """

    camera_m: Float[Tensor, " batch"]
    seam_m: Float[Tensor, " batch"]
    first_m: Float[Tensor, " batch"]
    ends_m: Float[Tensor, "batch ends"]

    @classmethod
    def draw(
        cls,
        camera_m: Float[Tensor, " batch"],
        seam_m: Float[Tensor, " batch"],
        shift_m: Float[Tensor, " batch"],
        generator: torch.Generator,
    ) -> CameraShift:
        """Independent shifts; ``shift_m`` is the standard deviation of their errors."""
        first = camera_m * uniform(camera_m.shape, generator, camera_m)
        ends = normal((len(camera_m), 2 * _CAMERAS), generator, camera_m)
        return cls(camera_m, seam_m, first, ends * shift_m[:, None])

    def at(self, x_m: Float[Tensor, "batch *places"]) -> Float[Tensor, "batch *places"]:
        """The shift at places along the road, in metres."""
        camera_m, seam_m = self.camera_m[:, None], self.seam_m[:, None]
        place = x_m.flatten(1) - self.first_m[:, None]
        camera = (place / camera_m).floor()
        within = place - camera * camera_m
        in_seam = within < seam_m
        fraction = torch.where(in_seam, within / seam_m, (within - seam_m) / (camera_m - seam_m))
        ends = self.ends_m.shape[1]
        before = (2 * camera + ~in_seam).long().remainder(ends)
        begin = self.ends_m.gather(1, before)
        end = self.ends_m.gather(1, (before + 1).remainder(ends))
        return (begin + fraction * (end - begin)).view_as(x_m)
