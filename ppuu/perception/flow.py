"""Optical flow by block matching: the velocity of what each pixel shows."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .raster_image import RasterConfig
from .warp import sample

_MAX_AHEAD_MPS = 8.0
_MAX_LEFT_MPS = 2.0
_BLOCK = (9, 5)
"""Pixels compared around each pixel: about one car."""
_SMOOTHING_WINDOW = (11, 3)
"""Pixels around each pixel that likely belong to the same vehicle."""
_MIN_STD_MPS = 0.1
"""Floor of a match's standard deviation."""
_SHARPNESS = 3.0
"""Inverse temperature of the soft minimum, per squared difference of one fully covered pixel."""


@torch.no_grad()
def block_matching_flow(
    images: Float[Tensor, "batch frames rows columns"],
    seconds_ago: Float[Tensor, " frames"],
    config: RasterConfig,
) -> Float[Tensor, "batch 2 rows columns"]:
    """Velocity ahead and to the left, in m/s, of what each pixel of the last image shows.

    Among candidate velocities, the soft minimum of the squared differences between the last image
    and the earlier ones, displaced by the candidate and summed over a block of a car's size.
    First along the road, then, after compensation of that motion, across it.  Zero where nothing
    moves and where the road is empty.

    Args:
        images: one channel, in a common frame of reference, oldest first.
        seconds_ago: age of each image; the last is 0.
        config: size and scale of images.
    """
    earlier, last = images[:, :-1], images[:, -1]
    seconds_ago = seconds_ago[:-1]
    ahead = _match(earlier, last, seconds_ago, 2, _MAX_AHEAD_MPS, 1.0, config)
    # Sample the earlier images at the vehicles' estimated positions, then match across.
    grid = config.pixel_centres_m(images.device, images.dtype)
    earlier_ahead = grid[..., 0] - ahead[:, None] * seconds_ago[:, None, None]
    earlier_left = grid[..., 1].expand_as(earlier_ahead)
    compensated = sample(
        earlier.flatten(0, 1)[:, None],
        earlier_ahead.flatten(0, 1),
        earlier_left.flatten(0, 1),
        config,
    ).view(earlier.shape)
    left = _match(compensated, last, seconds_ago, 3, _MAX_LEFT_MPS, 0.5, config)
    return torch.stack([ahead, left], dim=1)


def _box_filter(
    images: Float[Tensor, "batch channels rows columns"], window: tuple[int, int]
) -> Float[Tensor, "batch channels rows columns"]:
    """Mean over a window around each pixel, separably."""
    rows, columns = window
    images = functional.avg_pool2d(images, (rows, 1), 1, (rows // 2, 0))
    return functional.avg_pool2d(images, (1, columns), 1, (0, columns // 2))


def _smooth(
    velocity: Float[Tensor, "batch rows columns"],
    variance: Float[Tensor, "batch rows columns"],
    coverage: Float[Tensor, "batch rows columns"],
) -> Float[Tensor, "batch rows columns"]:
    """Mean of neighbouring velocities, weighted by inverse variance: one velocity per vehicle.

    The flank of a long vehicle matches at any displacement; its ends do not (aperture problem).
    """
    weight = coverage / (variance + _MIN_STD_MPS**2)
    for _ in range(2):
        total = _box_filter(weight[:, None], _SMOOTHING_WINDOW)[:, 0]
        weighted = _box_filter((weight * velocity)[:, None], _SMOOTHING_WINDOW)[:, 0]
        velocity = weighted / total.clamp(min=1e-6)
        weight = coverage * total
    return velocity


def _match(
    earlier: Float[Tensor, "batch frames rows columns"],
    last: Float[Tensor, "batch rows columns"],
    seconds_ago: Float[Tensor, " frames"],
    axis: int,
    max_mps: float,
    step_pixels: float,
    config: RasterConfig,
) -> Float[Tensor, "batch rows columns"]:
    """Soft best velocity along one axis of the images.

    Candidates are ``step_pixels`` apart, over the whole history.
    """
    span = float(seconds_ago[0])
    step_mps = step_pixels * config.metres_per_pixel / span
    count = int(max_mps / step_mps)
    margin = int(count * step_pixels) + 2
    pads = [0, 0, 0, 0]
    pads[2 * (3 - axis)] = pads[2 * (3 - axis) + 1] = margin
    padded = functional.pad(earlier, pads)
    length = earlier.shape[axis]
    mismatch = []
    for candidate in range(-count, count + 1):
        difference = torch.zeros_like(last)
        for frame, ago in enumerate(seconds_ago.tolist()):
            # Forwards is towards row 0 and left towards column 0, so earlier positions have
            # larger indices.
            shift = margin + candidate * step_pixels * ago / span
            whole = int(shift)
            fraction = shift - whole
            lower = padded[:, frame].narrow(axis - 1, whole, length)
            upper = padded[:, frame].narrow(axis - 1, whole + 1, length)
            difference += torch.lerp(lower, upper, fraction).sub_(last).square_()
        mismatch.append(difference)
    block_sum = _box_filter(torch.stack(mismatch, 1), _BLOCK) * (_BLOCK[0] * _BLOCK[1])
    candidates = torch.arange(-count, count + 1, device=last.device) * step_mps
    # Ties (an empty road) go to velocity 0.
    tie_break = 1e-2 * (candidates / max_mps).abs()[:, None, None]
    weight = torch.softmax(-_SHARPNESS * (block_sum + tie_break), dim=1)
    mean = (weight * candidates[:, None, None]).sum(1)
    variance = (weight * (candidates[:, None, None] - mean[:, None]) ** 2).sum(1)
    return _smooth(mean, variance, last)
