"""What a policy or a world model gets to see, and the statistics that normalise it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .errors import InputError
from .geometry import to_local
from .raster import CHANNELS, RasterConfig, RoadMap, draw_into
from .scene import Scene


@dataclass(frozen=True)
class ObservationConfig:
    """How much is seen.

    Attributes:
        frames: images in the history, the present one included (PPUU: 20).
        stride: recorded frames from one image to the next (PPUU: 1).
        raster: size and scale of each image.
    """

    frames: int = 4
    stride: int = 3
    raster: RasterConfig = field(default_factory=RasterConfig)

    def __post_init__(self):
        if self.frames < 2 or self.stride < 1:
            raise InputError(
                f"observation of {self.frames} frames, stride {self.stride}: "
                "at least two frames and a stride of one are needed to see motion"
            )

    @property
    def span(self) -> int:
        """Recorded frames before the present one that the history reaches back."""
        return (self.frames - 1) * self.stride

    def lags(self, device=None) -> Int[Tensor, " frames"]:
        """How many recorded frames ago each image was taken, oldest first, ending in 0."""
        return torch.arange(self.frames - 1, -1, -1, device=device) * self.stride


@dataclass(frozen=True, eq=False)
class Observation:
    """A batch of histories, oldest first.

    Attributes:
        images: ``(batch, frames, 3, rows, columns)`` in [0, 1], each centred on where the ego was
            at that time.
        ego: ``(batch, frames, 4)`` ego states in the world, at the same times.
        size_m: ``(batch, 2)`` the ego's length and width.
    """

    images: Float[Tensor, "batch frames 3 rows columns"]
    ego: Float[Tensor, "batch frames 4"]
    size_m: Float[Tensor, "batch 2"]

    def followed_by(
        self, image: Float[Tensor, "batch 3 rows columns"], state: Float[Tensor, "batch 4"]
    ) -> Observation:
        """The observation one stride later: the oldest image drops out."""
        return Observation(
            torch.cat([self.images[:, 1:], image[:, None]], dim=1),
            torch.cat([self.ego[:, 1:], state[:, None]], dim=1),
            self.size_m,
        )

    @property
    def ego_features(self) -> Float[Tensor, "batch features"]:
        """The ego's history seen from its present pose, and its size; nothing tells the site.

        For each frame: metres ahead and to the left of the present pose, heading difference,
        speed.
        """
        relative = to_local(self.ego, self.ego[:, -1:])
        return torch.cat([relative.flatten(1), self.size_m], dim=1)


def observe(
    scene: Scene,
    road_map: RoadMap,
    config: ObservationConfig,
    ego: Int[Tensor, " batch"],
    frame: Int[Tensor, " batch"],
) -> Observation:
    """Draws what recorded vehicles saw at global frames at least ``span`` into their tracks."""
    times = frame[:, None] - config.lags(frame.device)
    states = scene.state(ego[:, None].expand_as(times), times)
    flat_ego = ego.repeat_interleave(config.frames)
    raster = config.raster
    images = states.new_empty(len(flat_ego), CHANNELS, raster.rows, raster.columns)
    draw_into(
        images,
        torch.arange(len(flat_ego), device=images.device),
        states.flatten(0, 1)[:, :3],
        scene.neighbours(times.flatten(), flat_ego),
        scene.vehicle_recording[flat_ego],
        road_map,
        raster,
    )
    return Observation(
        images.view(len(ego), config.frames, *images.shape[1:]), states, scene.size_m[ego]
    )


class Normalizer(nn.Module):
    """Means and deviations of actions and ego features, kept as buffers so checkpoints carry them.

    The deviations have a floor, so a quantity that never varied in the data is not blown up.
    """

    action_mean: Tensor
    action_deviation: Tensor
    ego_mean: Tensor
    ego_deviation: Tensor

    def __init__(self, ego_features: int):
        super().__init__()
        self.register_buffer("action_mean", torch.zeros(2))
        self.register_buffer("action_deviation", torch.ones(2))
        self.register_buffer("ego_mean", torch.zeros(ego_features))
        self.register_buffer("ego_deviation", torch.ones(ego_features))

    def fit(
        self, actions: Float[Tensor, "actions 2"], ego_features: Float[Tensor, "samples features"]
    ) -> None:
        """Takes the statistics of training data."""
        floor = torch.tensor([0.05, 1e-4], device=actions.device)
        self.action_mean.copy_(actions.mean(0))
        self.action_deviation.copy_(torch.maximum(actions.std(0), floor))
        self.ego_mean.copy_(ego_features.mean(0))
        self.ego_deviation.copy_(ego_features.std(0).clamp(min=1e-2))

    def ego(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
        """Ego features in units of their deviation, at most 10 away from the mean."""
        return ((features - self.ego_mean) / self.ego_deviation).clamp(-10.0, 10.0)
