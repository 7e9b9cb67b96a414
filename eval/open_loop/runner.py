"""Open-loop metrics of several predictors on the same clips."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from data.clips.clips import Clips
from ppuu.world_models import Extrapolation, LatentTemperature, Predictor, WorldModel

from .metrics import METRICS, GroundTruth, prediction_metrics

_BATCH = 32


@torch.no_grad()
def evaluate(
    predictors: Mapping[str, Predictor],
    clips: Clips,
    index: Int[Tensor, " clips"],
    steps: int,
    samples: int,
    seed: int,
) -> dict[str, Float[np.ndarray, "clips metrics time"]]:
    """All ``METRICS`` of every predictor, on the same clips.

    Args:
        predictors: by name, with steps of the same length.
        clips, index: where the histories and futures are from.
        steps: how far to predict.
        samples: of each prediction; references are deterministic and predict once.
        seed: of the samples.
    """
    some = next(iter(predictors.values()))
    images = any(predictor.observation.images for predictor in predictors.values())
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, list[Tensor]] = {name: [] for name in predictors}
    for part in tqdm(index.split(_BATCH), desc="predict", disable=not sys.stderr.isatty()):
        clip = clips.batch(part, images=images)
        truth = GroundTruth.after(clips, clip, some, steps)
        for name, predictor in predictors.items():
            count = 1 if isinstance(predictor, Extrapolation) else samples
            prediction = predictor.predict(
                clip.observation, steps, count, generator, ego=truth.rollout.states
            )
            metrics = prediction_metrics(prediction, truth)
            values[name].append(torch.stack([metrics[key] for key in METRICS], dim=1))
    return {name: torch.cat(parts).cpu().numpy() for name, parts in values.items()}


def at_temperatures(
    models: Mapping[str, WorldModel], temperatures: Sequence[float]
) -> dict[str, Predictor]:
    """Each model at each temperature of its latents; at 1 it keeps its name."""
    return {
        name if temperature == 1.0 else f"{name}@{temperature:g}": LatentTemperature(
            model, temperature
        )
        for name, model in models.items()
        for temperature in temperatures
    }
