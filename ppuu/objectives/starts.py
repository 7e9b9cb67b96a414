"""Other beginnings of the same clip: the ego a little faster, further left, turned."""

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
    """How many beginnings each clip gets, and how different they are.

    Predictions that do not depend on the ego serve all of them; and
    a policy that never leaves the recorded drivers' states does not learn to return to them.
    Not in PPUU.

    Attributes:
        copies: beginnings; the first is the recorded one.
        speed_mps: standard deviation of the change of speed.
        left_m: of the shift sideways.
        heading_rad: of the turn.
        drive_steps: model steps, at most, that the policy itself has driven before an update's
            beginnings, among everybody as recorded; drawn anew for each update.
    """

    copies: int = 4
    speed_mps: float = 3.0
    left_m: float = 0.6
    heading_rad: float = 0.05
    drive_steps: int = 20

    def __post_init__(self):
        require_not_negative(
            "starts", speed_mps=self.speed_mps, left_m=self.left_m, heading_rad=self.heading_rad,
            drive_steps=self.drive_steps,
        )  # fmt: skip
        if self.copies < 1:
            raise InputError(f"starts: copies {self.copies} must be positive")


def varied_starts(
    observation: Observation,
    config: StartConfig,
    raster: RasterConfig,
    dt_s: float,
    stride: int,
    generator: torch.Generator,
) -> Observation:
    """Each history ``copies`` times in a row, all but the first as if driven a little differently.

    The whole history is shifted and turned about the present pose, and the past moved along the
    road so that it fits the changed speed; the images are warped to the new poses.

    Args:
        observation: recorded histories.
        config: how many and how different.
        raster: scale of the images.
        dt_s: seconds a recorded frame.
        stride: recorded frames between two images.
        generator: decides how different.
    """
    copies, frames = config.copies, observation.ego.shape[1]
    repeated = observation.repeat(copies)
    ego = repeated.ego
    images = repeated.images
    change = normal((len(ego), 3), generator, ego)
    change *= change.new_tensor([config.speed_mps, config.left_m, config.heading_rad])
    change[::copies] = 0.0
    present = ego[:, -1]
    speed = torch.maximum(change[:, 0], -present[:, 3])
    ago = torch.arange(frames - 1, -1, -1, device=ego.device) * (stride * dt_s)
    moved = _shifted(ego, speed, change[:, 1], change[:, 2], ago)
    source, target = ego[..., :3].flatten(0, 1), moved[..., :3].flatten(0, 1)
    if images.shape[-1] > 0:
        images = warp_image(images.flatten(0, 1), source, target, raster).view(images.shape)
    return replace(repeated, images=images, ego=moved)


def _shifted(
    ego: Float[Tensor, "batch frames 4"],
    speed_mps: Float[Tensor, " batch"],
    left_m: Float[Tensor, " batch"],
    heading_rad: Float[Tensor, " batch"],
    ago_s: Float[Tensor, " frames"],
) -> Float[Tensor, "batch frames 4"]:
    """Ego histories with the changes applied; speeds stay positive."""
    present = ego[:, -1:]
    course = present[..., 2]
    back = -speed_mps[:, None] * ago_s
    position = ego[..., :2] - present[..., :2]
    cos, sin = torch.cos(heading_rad)[:, None], torch.sin(heading_rad)[:, None]
    x = cos * position[..., 0] - sin * position[..., 1]
    y = sin * position[..., 0] + cos * position[..., 1]
    turned = course + heading_rad[:, None]
    x = x + back * torch.cos(turned) - left_m[:, None] * torch.sin(course)
    y = y + back * torch.sin(turned) + left_m[:, None] * torch.cos(course)
    return torch.stack(
        [
            x + present[..., 0],
            y + present[..., 1],
            wrap_angle(ego[..., 2] + heading_rad[:, None]),
            (ego[..., 3] + speed_mps[:, None]).clamp(min=0.0),
        ],
        dim=-1,
    )
