"""Film strips: what followed, what was foreseen, and where the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.clips.clips import Clips
from ppuu.perception.raster_image import LANES, OFFROAD, VEHICLES
from ppuu.world_models import Predictor

from ..open_loop.metrics import GroundTruth
from .html import figure_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MISSED, _IMAGINED = (0.12, 0.39, 0.71), (0.85, 0.33, 0.10)
_SHOWN = 5
_GAP = 6


@torch.no_grad()
def film_strips(
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
    shown = torch.linspace(0, steps - 1, _SHOWN).round().long().tolist()
    rows = len(index) * len(predictors)
    figure = Figure(figsize=(0.8 * (1 + 3 * len(shown)), 2.6 * rows))
    for number, (name, predictor) in enumerate(predictors.items()):
        predicted = predictor.predict(
            clip.observation, steps, 1, generator, ego=truth.rollout.states
        )
        vehicles = predicted.vehicle_images(truth.poses)[:, 0, 0]
        road = predicted.road_images(truth.poses)[:, 0, 0]
        for k in range(len(index)):
            true, told = truth.images.vehicles[k, 0, 0], vehicles[k]
            pictures = [_now(clip.observation.images[k, -1])]
            pictures += [_coloured(true[t], truth.images.road[k, 0, 0, t]) for t in shown]
            pictures += [_coloured(told[t], road[k, t]) for t in shown]
            pictures += [_difference(true[t], told[t]) for t in shown]
            titles = ["now"]
            for what in ("true", name, "difference"):
                times = [f"{(t + 1) * first.step_s:.1f} s" for t in shown]
                titles += [f"{what}\n{times[0]}", *times[1:]]
            axes = figure.add_subplot(rows, 1, k * len(predictors) + number + 1)
            _side_by_side(axes, pictures, titles)
    figure.tight_layout()
    return figure_bytes(figure)


def _side_by_side(
    axes: Axes, pictures: list[Float[Tensor, "rows columns 3"]], titles: list[str]
) -> None:
    """One picture of all, since a hundred axes take seconds to draw."""
    rows, columns = pictures[0].shape[:2]
    wide = columns + _GAP
    joined = torch.full((rows + 2, wide * len(pictures) + 1, 3), 0.6)
    for k, (picture, title) in enumerate(zip(pictures, titles, strict=True)):
        joined[:, wide * k + columns + 2 : wide * (k + 1)] = 1.0
        joined[1:-1, wide * k + 1 : wide * k + columns + 1] = picture.clamp(0, 1)
        axes.text(wide * k + columns / 2, -3, title, ha="center", va="bottom", fontsize=7)
    joined[:, wide * len(pictures) - _GAP + 2 :] = 1.0
    axes.imshow(joined.numpy(), interpolation="nearest")
    axes.set_axis_off()


def _now(image: Float[Tensor, "3 rows columns"]) -> Float[Tensor, "rows columns 3"]:
    return _coloured(image[VEHICLES], image[[LANES, OFFROAD]])


def _coloured(
    vehicles: Float[Tensor, "rows columns"], road: Float[Tensor, "2 rows columns"]
) -> Float[Tensor, "rows columns 3"]:
    """Lanes red, vehicles green, off-road blue."""
    return torch.stack([road[0], vehicles, road[1]], dim=-1)


def _difference(
    true: Float[Tensor, "rows columns"], told: Float[Tensor, "rows columns"]
) -> Float[Tensor, "rows columns 3"]:
    """White where they agree, blue what was missed, orange what is not there, grey what is."""
    missed, imagined = (true - told).clamp(min=0.0), (told - true).clamp(min=0.0)
    both = 0.25 * torch.minimum(true, told)
    picture = true.new_ones(*true.shape, 3) - both[..., None]
    for share, colour in ((missed, _MISSED), (imagined, _IMAGINED)):
        picture = picture - share[..., None] * (1.0 - true.new_tensor(colour))
    return picture
