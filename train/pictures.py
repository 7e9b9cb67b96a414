"""Pictures for TensorBoard: what a world model predicts beside the true future."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ppuu.perception.film_strip import coloured, film_strip
from ppuu.world_models import WorldModel

from .batches.clips import Selection


def prediction_strip(
    model: WorldModel, selection: Selection, steps: int, shown: int = 2
) -> Float[Tensor, "3 height width"]:
    """Two rows a clip: the true future, and one sample; a column a step of the model.

    Forward is up; lanes red, vehicles green, off-road blue, all drawn at the poses of the model's
    own images.

    Args:
        model: any world model.
        selection: clips; the first few are taken.
        steps: of the model.
        shown: number of clips.
    """
    clips, index = selection
    clip = clips.batch(index[:shown], images=True)
    ahead = torch.arange(1, steps + 1, device=clip.frame.device) * model.frames_per_step
    ego = clip.future[:, None, ahead - 1]
    generator = torch.Generator().manual_seed(0)
    prediction = model.predict(clip.observation, steps, 1, generator, ego=ego)
    poses = prediction.pose[:, 0]
    road = clips.draw_road(clip, poses).unbind(2)
    true = clips.draw_vehicles(clip, ahead, poses)
    predicted = prediction.vehicle_images(poses)[:, 0, 0]
    pictures = torch.stack([coloured(vehicles, *road) for vehicles in (true, predicted)], dim=1)
    return film_strip(pictures.flatten(0, 1)).permute(2, 0, 1)
