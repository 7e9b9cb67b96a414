"""Film strips of predictions: the true future, a sampled one, and their difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.clips.clips import Clips
from ppuu.perception.film_strip import FRAME_PIXELS, coloured, difference, film_strip
from ppuu.perception.raster_image import LANES, OFFROAD, VEHICLES
from ppuu.world_models import Predictor

from ..open_loop.metrics import GroundTruth
from .html import figure_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TIMES_SHOWN = 5


@torch.no_grad()
def prediction_strips(
    predictors: Mapping[str, Predictor], clips: Clips, index: Int[Tensor, " clips"], steps: int
) -> bytes:
    """A PNG: a row a clip and predictor; the true future, a sampled one, and their difference.

    Args:
        predictors: by name.
        clips: where the clips are from.
        index: which clips.
        steps: the last step shown; the first is the present.
    """
    from matplotlib.figure import Figure

    first = next(iter(predictors.values()))
    clip = clips.batch(index, images=True)
    truth = GroundTruth.after(clips, clip, first, steps)
    generator = torch.Generator().manual_seed(0)
    shown = torch.linspace(0, steps - 1, _TIMES_SHOWN).round().long()
    times = [f"{(t + 1) * first.step_s:.1f} s" for t in shown.tolist()]
    true = truth.images.vehicles[:, 0, 0, shown]
    true_pictures = coloured(true, *truth.images.road[:, 0, 0, shown].unbind(-3))
    present = clip.observation.images[:, -1]
    now = coloured(present[:, VEHICLES], present[:, LANES], present[:, OFFROAD])[:, None]
    rows = len(index) * len(predictors)
    figure = Figure(figsize=(0.8 * (1 + 3 * len(shown)), 2.6 * rows))
    for number, (name, predictor) in enumerate(predictors.items()):
        prediction = predictor.predict(
            clip.observation, steps, 1, generator, ego=truth.rollout.states
        )
        vehicles = prediction.vehicle_images(truth.poses)[:, 0, 0, shown]
        road = prediction.road_images(truth.poses)[:, 0, 0, shown]
        pictures = [now, true_pictures, coloured(vehicles, *road.unbind(-3))]
        strips = torch.cat([*pictures, difference(true, vehicles)], dim=1)
        groups = ("true", name, "difference")
        titles = [f"{group}\n{times[0]}" if time is times[0] else time
                  for group in groups for time in times]  # fmt: skip
        for k, strip in enumerate(strips):
            axes = figure.add_subplot(rows, 1, k * len(predictors) + number + 1)
            _draw(axes, strip, ["now", *titles])
    figure.tight_layout()
    return figure_bytes(figure)


def _draw(axes: Axes, pictures: Float[Tensor, "across rows columns 3"], titles: list[str]) -> None:
    """One image of all pictures, since a hundred axes take seconds to draw."""
    width = pictures.shape[2] + 2 * FRAME_PIXELS
    for k, title in enumerate(titles):
        axes.text(width * (k + 0.5), -3, title, ha="center", va="bottom", fontsize=7)
    axes.imshow(film_strip(pictures[None]).numpy(), interpolation="nearest")
    axes.set_axis_off()
