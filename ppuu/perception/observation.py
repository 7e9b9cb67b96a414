"""What a policy or a world model gets to see, and the statistics that normalise it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..geometry import to_local
from ..recordings.scene import Scene
from ..recordings.tracks import Tracks, recorded_tracks
from ..runtime.errors import InputError
from .raster import draw_into
from .raster_image import CHANNELS, RasterConfig
from .road_map import LocalRoad, RoadMap


@dataclass(frozen=True)
class ObservationConfig:
    """How much is seen.

    Attributes:
        frames: images in the history, the present one included (PPUU: 20).
        stride: recorded frames from one image to the next (PPUU: 1).
        raster: size and scale of each image.
        vehicles: how many of the nearest vehicles are seen as tracks, too; 0 for none.
        images: whether images are drawn at all; without, they have no pixels.
    """

    frames: int = 4
    stride: int = 3
    raster: RasterConfig = field(default_factory=RasterConfig)
    vehicles: int = 0
    images: bool = True

    def __post_init__(self):
        if self.vehicles < 0:
            raise InputError(f"observation of {self.vehicles} vehicles: must not be negative")
        if self.frames < 2 or self.stride < 1:
            raise InputError(
                f"observation of {self.frames} frames, stride {self.stride}: "
                "at least two frames and a stride of one are needed to see motion"
            )

    def fits(self, other: ObservationConfig) -> bool:
        """Whether both look back as far, as often, at the same scale."""
        return (self.frames, self.stride, self.raster) == (other.frames, other.stride, other.raster)

    def shows(self, wanted: ObservationConfig) -> bool:
        """Whether this shows all that somebody wants to see, images included."""
        return self.fits(wanted) and (self.images or not wanted.images)

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
        tracks: the nearest vehicles at the same times, if the configuration asks for any.
        road: the map of the road the ego drives on, likewise.
    """

    images: Float[Tensor, "batch frames 3 rows columns"]
    ego: Float[Tensor, "batch frames 4"]
    size_m: Float[Tensor, "batch 2"]
    tracks: Tracks | None = None
    road: LocalRoad | None = None

    def followed_by(
        self,
        image: Float[Tensor, "batch 3 rows columns"] | None,
        tracks: Float[Tensor, "batch slots 4"] | None,
        ego: Float[Tensor, "batch 4"],
    ) -> Observation:
        """The observation one stride later: the oldest image and states drop out.

        Args:
            image: what is seen then, drawn from where the ego then is; None where images have no
                pixels.
            tracks: where the tracked vehicles then are; None if that is not known, so that no
                tracks are seen any more.
            ego: its state.
        """
        images, followed = self.images, None
        if image is not None:
            images = torch.cat([images[:, 1:], image[:, None]], dim=1)
        if self.tracks is not None and tracks is not None:
            followed = self.tracks.followed_by(tracks)
        path = torch.cat([self.ego[:, 1:], ego[:, None]], dim=1)
        return Observation(images, path, self.size_m, followed, self.road)

    def take(self, rows: Int[Tensor, " some"]) -> Observation:
        """Some elements of the batch."""
        return Observation(
            self.images[rows],
            self.ego[rows],
            self.size_m[rows],
            None if self.tracks is None else self.tracks.take(rows),
            None if self.road is None else self.road.take(rows),
        )

    def repeat(self, copies: int) -> Observation:
        """Every element of the batch ``copies`` times in a row."""
        return Observation(
            self.images.repeat_interleave(copies, 0),
            self.ego.repeat_interleave(copies, 0),
            self.size_m.repeat_interleave(copies, 0),
            None if self.tracks is None else self.tracks.repeat(copies),
            None if self.road is None else self.road.repeat(copies),
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
    images: bool | None = None,
    driven: Float[Tensor, "batch frames 4"] | None = None,
) -> Observation:
    """What recorded vehicles saw at global frames at least ``span`` into their tracks.

    Args:
        scene: the recordings.
        road_map: their roads.
        config: how much is seen.
        ego: the vehicles.
        frame: the present.
        images: whether to draw any, if not as the configuration says; else they have no pixels.
        driven: where the egos were, if somebody else drove them than the recorded human.
    """
    images = config.images if images is None else images
    times = frame[:, None] - config.lags(frame.device)
    states = scene.state(ego[:, None].expand_as(times), times) if driven is None else driven
    raster = config.raster
    rows, columns = (raster.rows, raster.columns) if images else (0, 0)
    drawn = states.new_empty(len(ego), config.frames, CHANNELS, rows, columns)
    if images:
        flat_ego = ego.repeat_interleave(config.frames)
        draw_into(
            drawn.flatten(0, 1),
            torch.arange(len(flat_ego), device=drawn.device),
            states.flatten(0, 1)[:, :3],
            scene.neighbours(times.flatten(), flat_ego),
            scene.vehicle_recording[flat_ego],
            road_map,
            raster,
        )
    tracked = config.vehicles > 0
    return Observation(
        drawn,
        states,
        scene.size_m[ego],
        recorded_tracks(
            scene, ego, states[:, -1, :2], frame, config.lags(frame.device), config.vehicles
        )
        if tracked
        else None,
        LocalRoad(road_map, scene.vehicle_recording[ego]) if tracked else None,
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

    def path(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
        """The same of ego features without the size at their end."""
        mean, deviation = self.ego_mean[:-2], self.ego_deviation[:-2]
        return ((features - mean) / deviation).clamp(-10.0, 10.0)

    def action(self, action: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
        """Actions in units of their deviation, at most 10 away from the mean."""
        return ((action - self.action_mean) / self.action_deviation).clamp(-10.0, 10.0)
