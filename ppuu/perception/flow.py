"""Seeing motion: the velocity of what each pixel shows, by matching with earlier images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .raster_image import RasterConfig
from .warp import sample

_FASTEST_AHEAD_MPS = 8.0
_FASTEST_LEFT_MPS = 2.0
_WINDOW = (9, 5)
"""Pixels compared around each pixel: about one car."""
_BODY = (11, 3)
"""Pixels around each pixel that likely belong to the same vehicle."""
_SURE_MPS = 0.1
"""Deviation of a match below which it cannot be any surer."""
_SHARPNESS = 3.0
"""How much worse a match counts for a squared difference of one fully covered pixel."""


@torch.no_grad()
def seen_velocity(
    images: Float[Tensor, "batch frames rows columns"],
    seconds_ago: Float[Tensor, " frames"],
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """Velocity ahead and to the left, in m/s, of what each pixel of the last image shows.

    Block matching: among candidate velocities, the soft minimum of the squared differences
    between the last image and the earlier ones moved along by the candidate, summed over a
    car-sized window.  First along the road, then, with that compensated, across it.  Zero where
    nothing moves or nothing is there.

    Args:
        images: one channel, in a common frame of reference, oldest first.
        seconds_ago: when each was taken; the last is 0.
        config: their scale.
    """
    earlier, present = images[:, :-1], images[:, -1]
    seconds_ago = seconds_ago[:-1]
    ahead = _match(earlier, present, seconds_ago, 2, _FASTEST_AHEAD_MPS, 1.0, config)
    # Look at the earlier images where the vehicles must have been, then match across.
    grid = config.pixel_centres_m(images.device, images.dtype)
    where = grid[..., 0] - ahead[:, None] * seconds_ago[:, None, None]
    left = grid[..., 1].expand_as(where)
    compensated = sample(
        earlier.flatten(0, 1)[:, None], where.flatten(0, 1), left.flatten(0, 1), config
    ).view(earlier.shape)
    left = _match(compensated, present, seconds_ago, 3, _FASTEST_LEFT_MPS, 0.5, config)
    return torch.stack([ahead, left], dim=1)


def _mean_around(
    images: Float[Tensor, "batch channels rows columns"], window: tuple[int, int]
) -> Float[Tensor, "batch channels rows columns"]:
    """Mean over a window around each pixel: the mean along it of the means across it."""
    rows, columns = window
    images = functional.avg_pool2d(images, (rows, 1), 1, (rows // 2, 0))
    return functional.avg_pool2d(images, (1, columns), 1, (0, columns // 2))


def _agree(
    velocity: Float[Tensor, "batch rows columns"],
    variance: Float[Tensor, "batch rows columns"],
    coverage: Float[Tensor, "batch rows columns"],
) -> Float[Tensor, "batch rows columns"]:
    """One velocity for what hangs together: the sure pixels speak for the unsure ones.

    The flank of a long vehicle looks the same wherever it moves; its ends do not.
    """
    weight = coverage / (variance + _SURE_MPS**2)
    for _ in range(2):
        total = _mean_around(weight[:, None], _BODY)[:, 0]
        velocity = _mean_around((weight * velocity)[:, None], _BODY)[:, 0] / total.clamp(min=1e-6)
        weight = coverage * total
    return velocity


def _match(
    earlier: Float[Tensor, "batch frames rows columns"],
    present: Float[Tensor, "batch rows columns"],
    seconds_ago: Float[Tensor, " frames"],
    axis: int,
    fastest_mps: float,
    step_pixels: float,
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """Soft best velocity along one axis of the images; ``step_pixels`` a candidate and history."""
    span = float(seconds_ago[0])
    step_mps = step_pixels * config.metres_per_pixel / span
    count = int(fastest_mps / step_mps)
    margin = int(count * step_pixels) + 2
    pads = [0, 0, 0, 0]
    pads[2 * (3 - axis)] = pads[2 * (3 - axis) + 1] = margin
    padded = functional.pad(earlier, pads)
    length = earlier.shape[axis]
    mismatch = []
    for candidate in range(-count, count + 1):
        difference = torch.zeros_like(present)
        for frame, ago in enumerate(seconds_ago.tolist()):
            # Moving forwards means towards row 0 (and left, towards column 0), so what is here
            # now was further down the image.
            shift = margin + candidate * step_pixels * ago / span
            whole = int(shift)
            part = shift - whole
            near = padded[:, frame].narrow(axis - 1, whole, length)
            far = padded[:, frame].narrow(axis - 1, whole + 1, length)
            difference += torch.lerp(near, far, part).sub_(present).square_()
        mismatch.append(difference)
    pooled = _mean_around(torch.stack(mismatch, 1), _WINDOW) * (_WINDOW[0] * _WINDOW[1])
    candidates = torch.arange(-count, count + 1, device=present.device) * step_mps
    # Equal matches (an empty road) are decided for rest.
    rest = 1e-2 * (candidates / fastest_mps).abs()[:, None, None]
    weight = torch.softmax(-_SHARPNESS * (pooled + rest), dim=1)
    best = (weight * candidates[:, None, None]).sum(1)
    variance = (weight * (candidates[:, None, None] - best[:, None]) ** 2).sum(1)
    return _agree(best, variance, present)
