"""How well one trained world model foresees, in a few numbers beside others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from data.splits import Split
from ppuu.loading.runs import load_world_model

from ..reports.results import Metric
from ..statistics.clustered import clustered_means
from .__main__ import measured
from .held_out import held_out
from .metrics import MEASURES, step_at

SHOWN = ("vehicle_iou", "cost_error")
SECONDS = 2.0
_FUTURES = 10


@torch.no_grad()
def foreseen(
    run: Path, recordings: Sequence[Path], split: Split, clips: int, seed: int = 0
) -> dict[str, Metric]:
    """``vehicle_iou_2s`` and ``cost_error_2s`` of ``eval.open_loop``.

    Raises:
        InputError: no such run, or nothing to judge it on.
    """
    model = load_world_model(run)
    at = step_at(SECONDS, model.step_s)
    held = held_out([model], {run.name: run}, recordings, split, None, at + 1)
    index = held.chosen(clips, seed)
    values = measured({"model": model}, held.clips, index, at + 1, _FUTURES, seed)["model"]
    columns = [MEASURES.index(key) for key in SHOWN]
    means = clustered_means(values[:, columns, at], held.clips.ego[index].numpy())
    return {f"{key}_2s": mean for key, mean in zip(SHOWN, means, strict=True)}
