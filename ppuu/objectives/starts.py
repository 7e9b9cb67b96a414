"""Perturbed initial states: changes of the ego's speed, lateral position and heading."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..geometry import wrap_angle
from ..perception.observation import Observation
from ..perception.raster_image import RasterConfig
from ..perception.warp import warp_image
from ..runtime.errors import InputError, require_not_negative
from ..runtime.randomness import normal


@dataclass(frozen=True)
class StartConfig:
    """Number and size of the perturbations.

    A policy trained only on states of recorded drivers does not learn to return to them; and
    predictions that do not depend on the ego are shared by all initial states.  Not in PPUU.

    Attributes:
        copies: initial states of each clip; the first is the recorded one.
        speed_mps: standard deviation of the change of speed.
        lateral_m: standard deviation of the lateral displacement.
        heading_rad: standard deviation of the change of heading.
        drive_steps: maximum number of model steps that the policy drives among the recorded
            vehicles before the initial states; sampled for each update.
    """

    copies: int = 4
    speed_mps: float = 3.0
    lateral_m: float = 0.6
    heading_rad: float = 0.05
    drive_steps: int = 20

    def __post_init__(self):
        require_not_negative(
            "starts", speed_mps=self.speed_mps, lateral_m=self.lateral_m,
            heading_rad=self.heading_rad,
            drive_steps=self.drive_steps,
        )  # fmt: skip
        if self.copies < 1:
            raise InputError(f"starts: copies {self.copies} must be positive")


def perturbed_starts(
    observation: Observation,
    config: StartConfig,
    raster: RasterConfig,
    dt_s: float,
    stride: int,
    generator: torch.Generator,
) -> Observation:
    """Each history ``copies`` times in a row, all but the first with a perturbed ego.

    The history is shifted and rotated about the current pose, and earlier positions are moved along
    the heading to match the changed speed; images are warped to the new poses.

    Args:
        observation: recorded histories.
        config: number and size of the perturbations.
        raster: scale of the images.
        dt_s: seconds between recorded frames.
        stride: recorded frames between two images.
        generator: of the perturbations.
    """
    copies, frames = config.copies, observation.ego.shape[1]
    repeated = observation.repeat(copies)
    ego = repeated.ego
    images = repeated.images
    change = normal((len(ego), 3), generator, ego)
    change *= change.new_tensor([config.speed_mps, config.lateral_m, config.heading_rad])
    change[::copies] = 0.0
    current = ego[:, -1]
    speed = torch.maximum(change[:, 0], -current[:, 3])
    ago_s = torch.arange(frames - 1, -1, -1, device=ego.device) * (stride * dt_s)
    perturbed = _perturb(ego, speed, change[:, 1], change[:, 2], ago_s)
    source, target = ego[..., :3].flatten(0, 1), perturbed[..., :3].flatten(0, 1)
    if images.shape[-1] > 0:
        images = warp_image(images.flatten(0, 1), source, target, raster).view(images.shape)
    return replace(repeated, images=images, ego=perturbed)


def _perturb(
    ego: Float[Tensor, "batch frames 4"],
    speed_mps: Float[Tensor, " batch"],
    lateral_m: Float[Tensor, " batch"],
    heading_rad: Float[Tensor, " batch"],
    ago_s: Float[Tensor, " frames"],
) -> Float[Tensor, "batch frames 4"]:
    """Ego histories with the changes applied; speeds are clamped at 0."""
    current = ego[:, -1:]
    heading = current[..., 2]
    offset_m = -speed_mps[:, None] * ago_s
    position = ego[..., :2] - current[..., :2]
    cos, sin = torch.cos(heading_rad)[:, None], torch.sin(heading_rad)[:, None]
    x = cos * position[..., 0] - sin * position[..., 1]
    y = sin * position[..., 0] + cos * position[..., 1]
    rotated = heading + heading_rad[:, None]
    x = x + offset_m * torch.cos(rotated) - lateral_m[:, None] * torch.sin(heading)
    y = y + offset_m * torch.sin(rotated) + lateral_m[:, None] * torch.cos(heading)
    return torch.stack(
        [
            x + current[..., 0],
            y + current[..., 1],
            wrap_angle(ego[..., 2] + heading_rad[:, None]),
            (ego[..., 3] + speed_mps[:, None]).clamp(min=0.0),
        ],
        dim=-1,
    )
