"""The accuracy of one trained world model in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from data.splits import Split
from ppuu.loading.runs import load_world_model

from ..statistics.clustered import clustered_means
from ..statistics.metric import Metric
from .held_out import held_out
from .metrics import METRICS, step_at
from .runner import evaluate

KEYS = ("vehicle_iou", "cost_error")
HORIZON_S = 2.0
_SAMPLES = 10


@torch.no_grad()
def prediction_accuracy(
    run: Path, recordings: Sequence[Path], split: Split, clips: int, seed: int = 0
) -> dict[str, Metric]:
    """``vehicle_iou_2s`` and ``cost_error_2s`` of ``eval.open_loop``.

    Raises:
        InputError: no such run, or no clips to evaluate it on.
    """
    model = load_world_model(run)
    at = step_at(HORIZON_S, model.step_s)
    held = held_out([model], {run.name: run}, recordings, split, None, at + 1)
    index = held.draw(clips, seed)
    values = evaluate({"model": model}, held.clips, index, at + 1, _SAMPLES, seed)["model"]
    columns = [METRICS.index(key) for key in KEYS]
    means = clustered_means(values[:, columns, at], held.clips.ego[index].numpy())
    return {f"{key}_2s": mean for key, mean in zip(KEYS, means, strict=True)}
