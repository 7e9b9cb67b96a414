"""Film strips: what followed, what was foreseen, and where the two differ."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from data.clips import Clips
from ppuu.raster import LANES, OFFROAD, VEHICLES
from ppuu.world_models import Predictor

from .foresight import Happened, drawn
from .page import figure_bytes

_MISSED, _IMAGINED = (0.12, 0.39, 0.71), (0.85, 0.33, 0.10)
_SHOWN = 5


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
    clip = clips.batch(index)
    happened = Happened.after(clips, clip, first, steps)
    ego = happened.rollout.states
    shown = torch.linspace(0, steps - 1, _SHOWN).round().long().tolist()
    rows, width = len(index) * len(predictors), 1 + 3 * len(shown)
    figure = Figure(figsize=(0.8 * width, 2.7 * rows))
    grid = figure.subplots(rows, width, squeeze=False)
    for number, (name, predictor) in enumerate(predictors.items()):
        futures = drawn(predictor.imagine(clip.observation, steps, 1, ego=ego), happened)
        for k in range(len(index)):
            true, told = happened.vehicles[k], futures.vehicles[k, 0]
            pictures = [_now(clip.observation.images[k, -1])]
            pictures += [_coloured(true[t], happened.road[k, t]) for t in shown]
            pictures += [_coloured(told[t], futures.road[k, t]) for t in shown]
            pictures += [_difference(true[t], told[t]) for t in shown]
            titles = ["now"]
            for what in ("true", name, "difference"):
                times = [f"{(t + 1) * first.step_s:.1f} s" for t in shown]
                titles += [f"{what}\n{times[0]}", *times[1:]]
            for axes, picture, title in zip(
                grid[k * len(predictors) + number], pictures, titles, strict=True
            ):
                axes.imshow(picture.clamp(0, 1).numpy(), interpolation="nearest")
                axes.set_xticks([])
                axes.set_yticks([])
                axes.set_title(title, fontsize=7)
    figure.subplots_adjust(wspace=0.08, hspace=0.16)
    return figure_bytes(figure)


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
    picture = torch.ones(*true.shape, 3) - both[..., None]
    for share, colour in ((missed, _MISSED), (imagined, _IMAGINED)):
        picture = picture - share[..., None] * (1.0 - torch.tensor(colour))
    return picture
