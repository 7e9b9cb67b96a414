"""Clips as poses for data loaders: plain tensors that are rasterised later."""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.perception.raster import draw
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.scene import Scene

from .clips import Clips, recorded


class ClipPoses(Dataset[dict[str, Tensor]]):
    """A map-style dataset of clips: history and future as states, actions and boxes.

    It contains only tensors, so that forked or spawned worker processes share its memory.  The
    index of an item is an integer, or a tensor of integers for a batch::

        DataLoader(poses, batch_size=32, shuffle=True)                   # any loader
        DataLoader(poses, sampler=ClipSampler(...), batch_size=None)     # faster: a batch at a time

    With ``times``, the frames of the history followed by those of the future, an item has

    - ``history`` ``(frames, 4)``, ``future`` ``(horizon, 4)``: the ego's states
    - ``size_m`` ``(2,)``: its length and width
    - ``actions`` ``(horizon, 2)``, ``previous_action`` ``(2,)``: as in ``Clip``
    - ``boxes`` ``(times, neighbours, 5)``: the vehicles nearest to the ego at each time, nearest
      first; ``valid`` ``(times, neighbours)``; ``vehicle`` ``(times, neighbours)``: index in the
      scene, -1 where none
    - ``ego``, ``frame``, ``recording``: indices as in ``Clips``

    Args:
        clips: source of the data set, which is on the CPU.
        neighbours: maximum number of vehicles at each time; the default suffices for images.
    """

    def __init__(self, clips: Clips, neighbours: int = 48):
        tensors = {
            field.name: value.cpu()
            for field in fields(Scene)
            if isinstance(value := getattr(clips.scene, field.name), Tensor)
        }
        self.scene = replace(clips.scene, **tensors)
        self.ego, self.frame, self.actions = (
            value.cpu() for value in (clips.ego, clips.frame, clips.actions)
        )
        self.horizon = clips.horizon
        # Contiguous copies of x and y, for fast distances to all vehicles of a frame.
        self.x_m, self.y_m = (self.scene.boxes[..., k].contiguous() for k in (0, 1))
        self.neighbours = min(neighbours, self.scene.occupant.shape[1])
        self.times = torch.cat([-clips.config.lags("cpu"), torch.arange(1, clips.horizon + 1)])

    def __len__(self) -> int:
        return len(self.ego)

    def __getitem__(self, index: int | Int[Tensor, " batch"]) -> dict[str, Tensor]:
        if not isinstance(index, Tensor) or index.ndim == 0:
            number = int(index)
            if not -len(self) <= number < len(self):
                raise IndexError(f"clip {number} of {len(self)}")
            batch = self[torch.tensor([number % len(self)])]
            return {key: value[0] for key, value in batch.items()}
        scene, ego, frame = self.scene, self.ego[index], self.frame[index]
        times = frame[:, None] + self.times
        states = scene.state(ego[:, None].expand_as(times), times)
        history_frames = len(self.times) - self.horizon
        future, actions, previous_action = recorded(scene, self.actions, ego, frame, self.horizon)
        vehicle = scene.occupant[times]
        distance = (self.x_m[times] - states[..., :1]).square_()
        distance += (self.y_m[times] - states[..., 1:2]).square_()
        excluded = (vehicle < 0) | (vehicle == ego[:, None, None])
        distance, near = distance.masked_fill_(excluded, torch.inf).topk(
            self.neighbours, largest=False
        )
        valid = distance.isfinite()
        slot = near + times[..., None] * vehicle.shape[-1]
        boxes = scene.boxes.flatten(0, 1).index_select(0, slot.flatten())
        return {
            "history": states[:, :history_frames],
            "future": future,
            "size_m": scene.size_m[ego],
            "actions": actions,
            "previous_action": previous_action,
            "boxes": boxes.view(*near.shape, 5),
            "valid": valid,
            "vehicle": vehicle.gather(2, near).masked_fill(~valid, -1),
            "ego": ego,
            "frame": frame,
            "recording": scene.vehicle_recording[ego],
        }


def draw_history(
    poses: dict[str, Tensor], road_map: RoadMap, config: ObservationConfig
) -> Observation:
    """Rasterises the histories of a batch of ``ClipPoses``, on the device of the batch."""
    states = poses["history"]
    count = states.shape[1]
    images = draw(
        states.flatten(0, 1)[:, :3],
        poses["boxes"][:, :count].flatten(0, 1),
        poses["valid"][:, :count].flatten(0, 1),
        poses["recording"].repeat_interleave(count),
        road_map,
        config.raster,
    )
    return Observation(images.unflatten(0, (-1, count)), states, poses["size_m"])
