"""Observations of policies and world models, and the statistics that normalise them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..geometry import to_local
from ..recordings.scene import Scene
from ..recordings.tracks import Tracks, recorded_tracks
from ..runtime.errors import InputError
from .goal import Goal
from .raster import draw_into
from .raster_image import CHANNELS, RasterConfig
from .road_map import LocalRoad, RoadMap


@dataclass(frozen=True)
class ObservationConfig:
    """Length, rate and content of the history that is observed.

    Attributes:
        frames: images in the history, including the current one (PPUU: 20).
        stride: recorded frames from one image to the next (PPUU: 1).
        raster: size and scale of each image.
        vehicles: number of nearest vehicles that are observed as tracks; 0 for none.
        images: whether images are drawn; otherwise they have no pixels.
    """

    frames: int = 4
    stride: int = 3
    raster: RasterConfig = field(default_factory=RasterConfig)
    vehicles: int = 0
    images: bool = True

    def __post_init__(self):
        if self.vehicles < 0:
            raise InputError(f"observation.vehicles {self.vehicles}: must be at least 0")
        if self.frames < 2 or self.stride < 1:
            raise InputError(
                f"observation.frames {self.frames}, observation.stride {self.stride}: motion needs "
                "at least 2 frames and a stride of at least 1"
            )

    def fits(self, other: ObservationConfig) -> bool:
        """Whether both have the same frames, stride and raster."""
        return (self.frames, self.stride, self.raster) == (other.frames, other.stride, other.raster)

    def shows(self, required: ObservationConfig) -> bool:
        """Whether observations contain all that is required, images included."""
        return self.fits(required) and (self.images or not required.images)

    @property
    def span(self) -> int:
        """Recorded frames from the oldest image of the history to the current one."""
        return (self.frames - 1) * self.stride

    def lags(self, device=None) -> Int[Tensor, " frames"]:
        """Age of each image in recorded frames, oldest first, ending in 0."""
        return torch.arange(self.frames - 1, -1, -1, device=device) * self.stride


@dataclass(frozen=True, eq=False)
class Observation:
    """A batch of histories, oldest first.

    Attributes:
        images: ``(batch, frames, 3, rows, columns)`` in [0, 1], each centred on the ego's pose at
            that time.
        ego: ``(batch, frames, 4)`` ego states in world coordinates, at the same times.
        size_m: ``(batch, 2)`` the ego's length and width.
        tracks: the nearest vehicles at the same times, if the configuration includes any.
        road: the map of the road that the ego drives on, if there are tracks.
        goal: the lane to be in before the road runs out; None to drive on in any lane.
    """

    images: Float[Tensor, "batch frames 3 rows columns"]
    ego: Float[Tensor, "batch frames 4"]
    size_m: Float[Tensor, "batch 2"]
    tracks: Tracks | None = None
    road: LocalRoad | None = None
    goal: Goal | None = None

    def followed_by(
        self,
        image: Float[Tensor, "batch 3 rows columns"] | None,
        tracks: Float[Tensor, "batch slots 4"] | None,
        ego: Float[Tensor, "batch 4"],
    ) -> Observation:
        """The observation one stride later, without the oldest image and states.

        Args:
            image: the new image, centred on the ego's new pose; None where images have no pixels.
            tracks: new states of the tracked vehicles; None if unknown, which drops the tracks.
            ego: its new state.
        """
        images, new_tracks = self.images, None
        if image is not None:
            images = torch.cat([images[:, 1:], image[:, None]], dim=1)
        if self.tracks is not None and tracks is not None:
            new_tracks = self.tracks.followed_by(tracks)
        path = torch.cat([self.ego[:, 1:], ego[:, None]], dim=1)
        return Observation(images, path, self.size_m, new_tracks, self.road, self.goal)

    def take(self, rows: Int[Tensor, " some"]) -> Observation:
        """Some elements of the batch."""
        return Observation(
            self.images[rows],
            self.ego[rows],
            self.size_m[rows],
            None if self.tracks is None else self.tracks.take(rows),
            None if self.road is None else self.road.take(rows),
            None if self.goal is None else self.goal.take(rows),
        )

    def repeat(self, copies: int) -> Observation:
        """Every element of the batch ``copies`` times in a row."""
        return Observation(
            self.images.repeat_interleave(copies, 0),
            self.ego.repeat_interleave(copies, 0),
            self.size_m.repeat_interleave(copies, 0),
            None if self.tracks is None else self.tracks.repeat(copies),
            None if self.road is None else self.road.repeat(copies),
            None if self.goal is None else self.goal.repeat(copies),
        )

    @property
    def ego_features(self) -> Float[Tensor, "batch features"]:
        """The ego's history relative to its current pose, and its size; independent of the site.

        For each frame: metres ahead and to the left of the current pose, heading difference,
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
    ego_states: Float[Tensor, "batch frames 4"] | None = None,
) -> Observation:
    """Observations of recorded vehicles, at frames at least ``span`` into their tracks.

    Args:
        scene: the recordings.
        road_map: their roads.
        config: what is observed.
        ego: numbers of the vehicles in the scene.
        frame: the current frame of each, counted over the whole scene.
        images: whether images are drawn; None is as configured.
        ego_states: states of the egos, if they differ from the recorded ones.
    """
    images = config.images if images is None else images
    times = frame[:, None] - config.lags(frame.device)
    states = scene.state(ego[:, None].expand_as(times), times) if ego_states is None else ego_states
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
    """Means and standard deviations of actions and ego features, as buffers (saved in checkpoints).

    The standard deviations have a floor, so that a quantity that is constant in the data is not
    amplified.
    """

    action_mean: Tensor
    action_std: Tensor
    ego_mean: Tensor
    ego_std: Tensor

    def __init__(self, ego_features: int):
        super().__init__()
        self.register_buffer("action_mean", torch.zeros(2))
        self.register_buffer("action_std", torch.ones(2))
        self.register_buffer("ego_mean", torch.zeros(ego_features))
        self.register_buffer("ego_std", torch.ones(ego_features))

    def fit(
        self, actions: Float[Tensor, "actions 2"], ego_features: Float[Tensor, "samples features"]
    ) -> None:
        """Computes the statistics of training data."""
        floor = torch.tensor([0.05, 1e-4], device=actions.device)
        self.action_mean.copy_(actions.mean(0))
        self.action_std.copy_(torch.maximum(actions.std(0), floor))
        self.ego_mean.copy_(ego_features.mean(0))
        self.ego_std.copy_(ego_features.std(0).clamp(min=1e-2))

    def ego(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
        """Ego features, standardized and clipped to ±10."""
        return ((features - self.ego_mean) / self.ego_std).clamp(-10.0, 10.0)

    def path(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch features"]:
        """Ego features without the size at their end, standardized and clipped to ±10."""
        mean, std = self.ego_mean[:-2], self.ego_std[:-2]
        return ((features - mean) / std).clamp(-10.0, 10.0)

    def action(self, action: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 2"]:
        """Actions, standardized and clipped to ±10."""
        return ((action - self.action_mean) / self.action_std).clamp(-10.0, 10.0)
