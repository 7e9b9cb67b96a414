"""Pictures for TensorBoard: what a world model predicts beside what followed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ppuu.world_models import WorldModel

from .batches.clips import Selection


def film_strip(
    model: WorldModel, selection: Selection, steps: int, shown: int = 2
) -> Float[Tensor, "3 rows columns"]:
    """Two rows a clip: what followed, and one sampled future; a column a step of the model.

    Forward is up; lanes red, vehicles green, off-road blue, all seen from the poses that the
    model's images are drawn at.

    Args:
        model: any world model.
        selection: clips; the first few are taken.
        steps: of the model.
        shown: how many clips.
    """
    clips, index = selection
    clip = clips.batch(index[:shown], images=True)
    ahead = torch.arange(1, steps + 1, device=clip.frame.device) * model.frames_per_step
    ego = clip.future[:, None, ahead - 1]
    generator = torch.Generator().manual_seed(0)
    prediction = model.predict(clip.observation, steps, 1, generator, ego=ego)
    poses = prediction.pose[:, 0]
    lanes, offroad = clips.draw_road(clip, poses).unbind(2)
    true = clips.draw_vehicles(clip, ahead, poses)
    predicted = prediction.vehicle_images(poses)[:, 0, 0]
    rows = [torch.stack([lanes, vehicles, offroad], dim=2) for vehicles in (true, predicted)]
    framed = functional.pad(torch.stack(rows, dim=1), (1, 1, 1, 1), value=1.0)
    strip = framed.permute(3, 0, 1, 4, 2, 5)  # colour, clip, which, row, time, column
    return strip.flatten(1, 3).flatten(2).clamp(0.0, 1.0)
