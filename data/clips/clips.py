"""Clips: a history and what followed, cut from recordings and drawn when needed.

A clip is two integers (whose eyes, which frame); images are drawn in batches on the device that
trains, at whatever poses a model asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.geometry import rotate, to_local
from ppuu.kinematics import ActionBounds, infer_actions
from ppuu.perception.observation import Observation, ObservationConfig, observe
from ppuu.perception.raster_image import VEHICLES
from ppuu.perception.road_map import RoadMap, draw_road
from ppuu.perception.vehicle_raster import draw_vehicles
from ppuu.predictions import ImageTarget, Target
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.recordings.tracks import states_at
from ppuu.runtime.errors import InputError
from ppuu.world_models import Predictor

from ..splits import FrameWindow

_MOST_SHOWN = 48
"""More vehicles than fit into an image."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A batch of clips.

    Attributes:
        ego: ``(batch,)`` vehicle whose eyes we look through.
        frame: ``(batch,)`` the present, as a frame of the scene.
        observation: the history up to the present.
        future: ``(batch, frames, 4)`` the ego's recorded states after the present.
        actions: ``(batch, frames, 2)`` what drives the kinematic ego along them;
            ``actions[:, 0]`` leads from the present to the next frame.
        previous_action: ``(batch, 2)`` what led to the present.
    """

    ego: Int[Tensor, " batch"]
    frame: Int[Tensor, " batch"]
    observation: Observation
    future: Float[Tensor, "batch frames 4"]
    actions: Float[Tensor, "batch frames 2"]
    previous_action: Float[Tensor, "batch 2"]


def presents(
    recording: Recording,
    window: FrameWindow,
    egos: Int[np.ndarray, " n"] | None,
    span: int,
    horizon: int,
) -> tuple[Int[np.ndarray, " vehicles"], Int[np.ndarray, " vehicles"]]:
    """Each vehicle's first frame that can be the present of a clip, and the number of such frames.

    Args:
        recording: the tracks.
        window: frames that may be used.
        egos: vehicles that a clip may follow; all of them if None.
        span: frames of history before the present.
        horizon: frames of future after it.
    """
    first = np.maximum(recording.first_frame, window.first).astype(np.int64) + span
    last = np.minimum(recording.last_frame, window.last - 1) - horizon
    count = (last - first + 1).clip(min=0)
    if egos is not None:
        count[np.setdiff1d(np.arange(recording.vehicles), egos)] = 0
    return first, count


class Clips:
    """All clips of some recordings: every vehicle, every frame with enough before and after it.

    Args:
        recordings: the tracks.
        windows: frames of each recording that may be used, context and future included.
        config: the history.
        horizon: frames after the present.
        device: where the tracks live and images are drawn.
        egos: vehicles of each recording that a clip may follow; all of them where None.

    Raises:
        InputError: no track is long enough.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        windows: Sequence[FrameWindow],
        config: ObservationConfig,
        horizon: int,
        device: torch.device | str = "cpu",
        egos: Sequence[Int[np.ndarray, " n"] | None] | None = None,
    ):
        self.recordings = recordings
        self.scene = Scene.build(recordings, device)
        self.road_map = RoadMap.build([r.road for r in recordings], config.raster, device)
        self.config = config
        self.horizon = horizon
        self.actions = _all_actions(self.scene)
        parts = zip(recordings, windows, egos or [None] * len(recordings), strict=True)
        spans = [presents(*part, config.span, horizon) for part in parts]
        count = torch.as_tensor(np.concatenate([count for _, count in spans]), device=device)
        first = torch.as_tensor(np.concatenate([first for first, _ in spans]), device=device)
        if int(count.sum()) == 0:
            names = ", ".join(recording.name for recording in recordings[:3])
            raise InputError(
                f"{names}: no track is long enough for a history of {config.span + 1} frames and "
                f"a future of {horizon}; give longer recordings or a shorter horizon"
            )
        first = first + self.scene.frame_offset[self.scene.vehicle_recording]
        self.ego = torch.repeat_interleave(torch.arange(len(count), device=device), count)
        within = torch.arange(len(self.ego), device=device) - torch.repeat_interleave(
            count.cumsum(0) - count, count
        )
        self.frame = first[self.ego] + within

    def __len__(self) -> int:
        return len(self.ego)

    def require_rate(self, dt_s: float) -> None:
        """Refuses a model that was trained at another frame rate.

        Raises:
            InputError: the recordings' frames are spaced differently.
        """
        if abs(dt_s - self.scene.dt_s) > 1e-6:
            raise InputError(
                f"{self.recordings[0].name}: {self.scene.dt_s:g} s between frames, but the world "
                f"model works with {dt_s:g} s; prepare the recording at the model's rate, or train "
                "a model with --model.dt-s"
            )

    def batch(self, index: Int[Tensor, " batch"], images: bool | None = None) -> Clip:
        """The histories of some clips; drawn or not, if not as the configuration says."""
        index = index.to(self.ego.device)
        return self.at(self.ego[index], self.frame[index], self.horizon, images)

    def at(
        self,
        ego: Int[Tensor, " batch"],
        frame: Int[Tensor, " batch"],
        horizon: int,
        images: bool | None = None,
    ) -> Clip:
        """Clips that begin where one likes; the tracks must reach far enough."""
        seen = observe(self.scene, self.road_map, self.config, ego, frame, images)
        return Clip(ego, frame, seen, *recorded(self.scene, self.actions, ego, frame, horizon))

    def draw_vehicles(
        self, clip: Clip, frames_ahead: Int[Tensor, " time"], poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch time rows columns"]:
        """The vehicles around the ego at later frames, as seen from given poses."""
        times = (clip.frame[:, None] + frames_ahead).flatten()
        boxes, visible = self.scene.others(times, clip.ego.repeat_interleave(len(frames_ahead)))
        images = draw_vehicles(poses.flatten(0, 1), boxes, visible, self.config.raster)
        return images.unflatten(0, (-1, len(frames_ahead)))

    def flow(
        self, clip: Clip, frames_ahead: Int[Tensor, " time"], poses: Float[Tensor, "batch time 3"]
    ) -> tuple[Float[Tensor, "batch time 2 rows columns"], Bool[Tensor, "batch time rows columns"]]:
        """Where the vehicle at each pixel of the present image goes, and where that is known.

        Metres ahead and to the left that the pixel moves, from the present image to one drawn at
        ``poses``, if it is carried along rigidly by the vehicle it shows; unknown where it shows
        none, or one that the recording loses before that time.
        """
        raster, steps = self.config.raster, len(frames_ahead)
        now = clip.observation.ego[:, -1, :3]
        boxes, visible = self.scene.others(clip.frame, clip.ego)
        # Only vehicles that may show in the image matter, and no image shows more than these.
        distance = (boxes[..., :2] - now[:, None, :2]).norm(dim=-1).masked_fill(~visible, torch.inf)
        distance, near = distance.topk(min(_MOST_SHOWN, distance.shape[1]), largest=False)
        local = to_local(boxes.gather(1, near[..., None].expand(-1, -1, 5)), now[:, None])
        shown = clip.observation.images[:, -1, VEHICLES].flatten(1)
        owner, pixel = (shown > 0).nonzero(as_tuple=True)
        grid = raster.pixel_centres_m(now.device).flatten(0, 1)
        point, box = grid[pixel], local[owner]
        within = rotate(point[:, None] - box[..., :2], -box[..., 2])
        slack = (within.abs() - 0.5 * box[..., 3:]).amax(-1)
        slack = slack.masked_fill(distance[owner].isinf(), torch.inf)
        nearest, slot = slack.min(dim=1)
        vehicle = self.scene.occupant[clip.frame[owner], near[owner, slot]]
        times = clip.frame[owner, None] + frames_ahead
        then = self.scene.state(vehicle[:, None].expand(-1, steps), times)
        then = to_local(then[..., :3], poses[owner])
        within = within[torch.arange(len(slot), device=slot.device), slot]
        arrived = rotate(within[:, None].expand(-1, steps, -1), then[..., 2]) + then[..., :2]
        exists = (times <= self.scene.last_frame[vehicle][:, None]) & (
            nearest < raster.metres_per_pixel
        )[:, None]
        flow = poses.new_zeros(len(now), raster.rows * raster.columns, steps, 2)
        known = torch.zeros(flow.shape[:3], dtype=torch.bool, device=flow.device)
        flow[owner, pixel] = arrived - point[:, None]
        known[owner, pixel] = exists
        size = (raster.rows, raster.columns)
        return flow.permute(0, 2, 3, 1).unflatten(-1, size), known.mT.unflatten(-1, size)

    def draw_road(
        self, clip: Clip, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch time 2 rows columns"]:
        """The road as seen from given poses."""
        road = self.scene.vehicle_recording[clip.ego].repeat_interleave(poses.shape[1])
        images = draw_road(poses.flatten(0, 1), road, self.road_map, self.config.raster)
        return images.unflatten(0, (-1, poses.shape[1]))

    def target(
        self, clip: Clip, model: Predictor, steps: int, generator: torch.Generator | None = None
    ) -> Target:
        """What followed, at a model's steps, as far as it wants to be held against it.

        Args:
            clip: the clips.
            model: says what is wanted, and from where images are seen.
            steps: how many of the model's steps.
            generator: chooses the step whose road is drawn where one will do; the last without.
        """
        ahead = torch.arange(1, steps + 1, device=clip.frame.device) * model.frames_per_step
        ego = clip.future[:, ahead - 1]
        wanted, tracks, valid = model.spec.target, None, None
        if wanted.tracks:
            seen = clip.observation.tracks
            assert seen is not None
            tracks, valid = states_at(self.scene, seen.vehicle, clip.frame[:, None] + ahead)
        if not wanted.images:
            return Target(ego, tracks, valid)
        poses = model.image_poses(clip.observation, ego)
        vehicles = self.draw_vehicles(clip, ahead, poses)
        road_step = torch.arange(steps)
        if not wanted.road_at_every_step:
            road_step = road_step[-1:]
            if generator is not None:
                road_step = torch.randint(steps, (1,), generator=generator)
        road = self.draw_road(clip, poses[:, road_step])
        flow = self.flow(clip, ahead, poses) if wanted.flow else (None, None)
        return Target(ego, tracks, valid, ImageTarget(vehicles, road, road_step, *flow))


def recorded(
    scene: Scene,
    actions: Float[Tensor, "rows 2"],
    ego: Int[Tensor, " batch"],
    frame: Int[Tensor, " batch"],
    horizon: int,
) -> tuple[
    Float[Tensor, "batch frames 4"], Float[Tensor, "batch frames 2"], Float[Tensor, "batch 2"]
]:
    """What the ego did after a frame: its states, its actions, and the action before."""
    row = scene.row_pointer[ego] + frame - scene.first_frame[ego]
    later = row[:, None] + torch.arange(horizon, device=frame.device)
    return scene.states[later + 1], actions[later], actions[row - 1]


def _all_actions(scene: Scene) -> Float[Tensor, "rows 2"]:
    """The action that leaves each row of each track (the last row repeats the one before)."""
    length = scene.row_pointer.diff()
    steps = torch.arange(int(length.max()), device=length.device)
    row = scene.row_pointer[:-1, None] + torch.minimum(steps, length[:, None] - 1)
    states = scene.states[row].double()
    bounds = ActionBounds()
    actions, _ = infer_actions(
        states[..., :2],
        states[:, 0, 2],
        states[:, 0, 3],
        scene.dt_s,
        bounds.acceleration_mps2,
        bounds.curvature_radpm,
    )
    held = torch.minimum(steps, (length[:, None] - 2).clamp(min=0))
    padded = torch.cat([actions, actions[:, -1:]], dim=1).float()
    padded = padded.gather(1, held[..., None].expand(-1, -1, 2))
    return padded[steps < length[:, None]]
