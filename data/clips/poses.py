"""Clips as poses, for data loaders: plain tensors, drawn into images where they are used."""

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

    It holds tensors alone, so that worker processes, forked or spawned, share its memory.  An
    item is asked for by its number, or by a tensor of numbers for a whole batch at once::

        DataLoader(poses, batch_size=32, shuffle=True)                   # any loader
        DataLoader(poses, sampler=ClipSampler(...), batch_size=None)     # faster: a batch at a time

    With ``times`` the history's frames and then all of the future's, an item has

    - ``history`` ``(frames, 4)``, ``future`` ``(horizon, 4)``: the ego's states
    - ``size_m`` ``(2,)``: its length and width
    - ``actions`` ``(horizon, 2)``, ``previous_action`` ``(2,)``: as in ``Clip``
    - ``boxes`` ``(times, neighbours, 5)``: the vehicles nearest to the ego at each time, nearest
      first; ``present`` ``(times, neighbours)``: which of them there are; ``vehicle`` ``(times,
      neighbours)``: who each is, -1 where none
    - ``ego``, ``frame``, ``recording``: who, when and where, as the ``Clips`` number them

    Args:
        clips: what is offered; the dataset itself lives on the CPU.
        neighbours: vehicles kept at each time; the default is more than fit into an image.
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
        # Distances are sought among all vehicles of a frame: apart, x and y are read fastest.
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
        seen = len(self.times) - self.horizon
        future, actions, previous_action = recorded(scene, self.actions, ego, frame, self.horizon)
        vehicle = scene.occupant[times]
        distance = (self.x_m[times] - states[..., :1]).square_()
        distance += (self.y_m[times] - states[..., 1:2]).square_()
        hidden = (vehicle < 0) | (vehicle == ego[:, None, None])
        distance, near = distance.masked_fill_(hidden, torch.inf).topk(
            self.neighbours, largest=False
        )
        present = distance.isfinite()
        slot = near + times[..., None] * vehicle.shape[-1]
        boxes = scene.boxes.flatten(0, 1).index_select(0, slot.flatten())
        return {
            "history": states[:, :seen],
            "future": future,
            "size_m": scene.size_m[ego],
            "actions": actions,
            "previous_action": previous_action,
            "boxes": boxes.view(*near.shape, 5),
            "valid": present,
            "vehicle": vehicle.gather(2, near).masked_fill(~present, -1),
            "ego": ego,
            "frame": frame,
            "recording": scene.vehicle_recording[ego],
        }


def draw_history(
    poses: dict[str, Tensor], road_map: RoadMap, config: ObservationConfig
) -> Observation:
    """Draws the histories of a batch of ``ClipPoses``, on the device that the batch lies on."""
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
