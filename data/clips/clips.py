"""Clips: a history and a future of a recorded vehicle, rasterised on demand.

A clip is two integers (ego vehicle, current frame); images are drawn in batches on the training
device, at the poses that a model requires.
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

_MAX_VEHICLES = 48
"""Upper bound of the number of vehicles in an image."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A batch of clips.

    Attributes:
        ego: ``(batch,)`` index of the ego vehicle in the scene.
        frame: ``(batch,)`` the current frame of the scene.
        observation: the history up to the current frame.
        future: ``(batch, frames, 4)`` the ego's recorded states after the current frame.
        actions: ``(batch, frames, 2)`` inferred actions of the kinematic ego along the future;
            ``actions[:, 0]`` leads from the current to the next frame.
        previous_action: ``(batch, 2)`` that leads to the current frame.
    """

    ego: Int[Tensor, " batch"]
    frame: Int[Tensor, " batch"]
    observation: Observation
    future: Float[Tensor, "batch frames 4"]
    actions: Float[Tensor, "batch frames 2"]
    previous_action: Float[Tensor, "batch 2"]


def clip_frame_ranges(
    recording: Recording,
    window: FrameWindow,
    egos: Int[np.ndarray, " n"] | None,
    span: int,
    horizon: int,
) -> tuple[Int[np.ndarray, " vehicles"], Int[np.ndarray, " vehicles"]]:
    """Each vehicle's first possible current frame of a clip, and the number of such frames.

    Args:
        recording: the tracks.
        window: frames that may be used.
        egos: possible egos; all vehicles if None.
        span: frames of history before the current frame.
        horizon: frames of future after it.
    """
    first = np.maximum(recording.first_frame, window.first).astype(np.int64) + span
    last = np.minimum(recording.last_frame, window.last - 1) - horizon
    count = (last - first + 1).clip(min=0)
    if egos is not None:
        count[np.setdiff1d(np.arange(recording.vehicles), egos)] = 0
    return first, count


class Clips:
    """All clips of some recordings: every vehicle and frame with sufficient history and future.

    Args:
        recordings: the tracks.
        windows: frames of each recording that may be used, including history and future.
        config: of the history.
        horizon: frames of future after the current frame.
        device: of the tracks and images.
        egos: possible egos of each recording; all vehicles if None.

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
        self.actions = _all_actions(self.scene, recordings)
        parts = zip(recordings, windows, egos or [None] * len(recordings), strict=True)
        spans = [clip_frame_ranges(*part, config.span, horizon) for part in parts]
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
        """Checks the frame rate of a model.

        Raises:
            InputError: the recordings have another frame rate.
        """
        if abs(dt_s - self.scene.dt_s) > 1e-6:
            raise InputError(
                f"{self.recordings[0].name}: {self.scene.dt_s:g} s between frames, but the world "
                f"model works with {dt_s:g} s; prepare the recording at the model's rate, or train "
                "a model with --model.dt-s"
            )

    def batch(self, index: Int[Tensor, " batch"], images: bool | None = None) -> Clip:
        """Some clips; ``images`` overrides whether histories are rasterised."""
        index = index.to(self.ego.device)
        return self.at(self.ego[index], self.frame[index], self.horizon, images)

    def at(
        self,
        ego: Int[Tensor, " batch"],
        frame: Int[Tensor, " batch"],
        horizon: int,
        images: bool | None = None,
    ) -> Clip:
        """Clips of given vehicles and frames; the tracks must be long enough."""
        observation = observe(self.scene, self.road_map, self.config, ego, frame, images)
        return Clip(
            ego, frame, observation, *recorded(self.scene, self.actions, ego, frame, horizon)
        )

    def draw_vehicles(
        self, clip: Clip, frames_ahead: Int[Tensor, " time"], poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch time rows columns"]:
        """Images of the vehicles around the ego at later frames, from given poses."""
        times = (clip.frame[:, None] + frames_ahead).flatten()
        boxes, visible = self.scene.others(times, clip.ego.repeat_interleave(len(frames_ahead)))
        images = draw_vehicles(poses.flatten(0, 1), boxes, visible, self.config.raster)
        return images.unflatten(0, (-1, len(frames_ahead)))

    def flow(
        self, clip: Clip, frames_ahead: Int[Tensor, " time"], poses: Float[Tensor, "batch time 3"]
    ) -> tuple[Float[Tensor, "batch time 2 rows columns"], Bool[Tensor, "batch time rows columns"]]:
        """Optical flow of the vehicles in the current image, and where it is valid.

        The displacement of a pixel in metres ahead and to the left, from the current image to one
        at ``poses``, if the pixel moves rigidly with its vehicle; invalid for pixels without
        vehicle, and after the end of the vehicle's track.
        """
        raster, steps = self.config.raster, len(frames_ahead)
        now = clip.observation.ego[:, -1, :3]
        boxes, visible = self.scene.others(clip.frame, clip.ego)
        # Only the nearest vehicles can be in the image.
        distance = (boxes[..., :2] - now[:, None, :2]).norm(dim=-1).masked_fill(~visible, torch.inf)
        distance, near = distance.topk(min(_MAX_VEHICLES, distance.shape[1]), largest=False)
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
        later = self.scene.state(vehicle[:, None].expand(-1, steps), times)
        later = to_local(later[..., :3], poses[owner])
        within = within[torch.arange(len(slot), device=slot.device), slot]
        endpoint = rotate(within[:, None].expand(-1, steps, -1), later[..., 2]) + later[..., :2]
        recorded_then = (times <= self.scene.last_frame[vehicle][:, None]) & (
            nearest < raster.metres_per_pixel
        )[:, None]
        flow = poses.new_zeros(len(now), raster.rows * raster.columns, steps, 2)
        valid = torch.zeros(flow.shape[:3], dtype=torch.bool, device=flow.device)
        flow[owner, pixel] = endpoint - point[:, None]
        valid[owner, pixel] = recorded_then
        size = (raster.rows, raster.columns)
        return flow.permute(0, 2, 3, 1).unflatten(-1, size), valid.mT.unflatten(-1, size)

    def draw_road(
        self, clip: Clip, poses: Float[Tensor, "batch time 3"]
    ) -> Float[Tensor, "batch time 2 rows columns"]:
        """Images of the road from given poses."""
        road = self.scene.vehicle_recording[clip.ego].repeat_interleave(poses.shape[1])
        images = draw_road(poses.flatten(0, 1), road, self.road_map, self.config.raster)
        return images.unflatten(0, (-1, poses.shape[1]))

    def target(
        self, clip: Clip, model: Predictor, steps: int, generator: torch.Generator | None = None
    ) -> Target:
        """The training target of a model: the future at the model's steps.

        Args:
            clip: the clips.
            model: defines the parts of the target and the poses of images.
            steps: number of model steps.
            generator: samples the step of the road image for models that need only one; by default
                the last step.
        """
        ahead = torch.arange(1, steps + 1, device=clip.frame.device) * model.frames_per_step
        ego = clip.future[:, ahead - 1]
        required, tracks, valid = model.spec.target, None, None
        if required.tracks:
            history = clip.observation.tracks
            assert history is not None
            tracks, valid = states_at(self.scene, history.vehicle, clip.frame[:, None] + ahead)
        if not required.images:
            return Target(ego, tracks, valid)
        poses = model.image_poses(clip.observation, ego)
        vehicles = self.draw_vehicles(clip, ahead, poses)
        road_step = torch.arange(steps)
        if not required.road_at_every_step:
            road_step = road_step[-1:]
            if generator is not None:
                road_step = torch.randint(steps, (1,), generator=generator)
        road = self.draw_road(clip, poses[:, road_step])
        flow = self.flow(clip, ahead, poses) if required.flow else (None, None)
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
    """The ego's recorded states and actions after a frame, and the action before."""
    row = scene.row_pointer[ego] + frame - scene.first_frame[ego]
    later = row[:, None] + torch.arange(horizon, device=frame.device)
    return scene.states[later + 1], actions[later], actions[row - 1]


def _all_actions(scene: Scene, recordings: Sequence[Recording]) -> Float[Tensor, "rows 2"]:
    """The action from each row of each track to the next (the last row repeats the one before).

    From the recordings' positions in float64, not from the scene's in float32: 0.1 mm are
    0.01 m/s² at ten frames a second.
    """
    columns = [np.stack([recording.x_m, recording.y_m], axis=1) for recording in recordings]
    positions = torch.from_numpy(np.concatenate(columns)).to(scene.states.device)
    start = scene.states[scene.row_pointer[:-1]].double()
    length = scene.row_pointer.diff()
    steps = torch.arange(int(length.max()), device=length.device)
    row = scene.row_pointer[:-1, None] + torch.minimum(steps, length[:, None] - 1)
    bounds = ActionBounds()
    actions, _ = infer_actions(
        positions[row],
        start[:, 2],
        start[:, 3],
        scene.dt_s,
        bounds.acceleration_mps2,
        bounds.curvature_radpm,
    )
    index = torch.minimum(steps, (length[:, None] - 2).clamp(min=0))
    padded = torch.cat([actions, actions[:, -1:]], dim=1).float()
    padded = padded.gather(1, index[..., None].expand(-1, -1, 2))
    return padded[steps < length[:, None]]
