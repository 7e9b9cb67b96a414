"""``python -m eval.open_loop``: how well world models foresee recordings they have not seen."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from data.clips.clips import Clips
from data.splits import Split
from ppuu.loading.runs import load_world_model
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output, written_whole
from ppuu.world_models import (
    ConstantAcceleration,
    ConstantVelocity,
    CopyLast,
    Ensemble,
    IdmRollForward,
    Predictor,
    Reference,
    Tempered,
    WorldModel,
    tracks_spec,
)

from ..driving.drivers import runs_by_label
from ..reports.open_loop_page import page
from ..reports.results import Row, format_table, write_results
from ..statistics.clustered import clustered_means
from .held_out import held_out
from .metrics import MEASURES, GroundTruth, measure, step_at

HORIZONS_S = (0.3, 0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Each is judged at the model's nearest step."""
SHOWN = ("vehicle_iou", "cost_error", "position_error_m")
SHOWN_S = (1.0, 2.0, 3.0)
_LONGEST_S = 60.0
"""What is printed; the file has all of it."""
REFERENCES = {
    "copy-last": CopyLast,
    "constant-velocity": ConstantVelocity,
    "constant-acceleration": ConstantAcceleration,
    "idm": IdmRollForward,
}
_BATCH = 32


def references(like: Predictor, clips: Clips) -> dict[str, Reference]:
    """Predictors without learning, on a model's clips and steps."""
    return {
        name: kind(tracks_spec(clips.config, like.frames_per_step, like.dt_s))
        for name, kind in REFERENCES.items()
    }


@torch.no_grad()
def measured(
    predictors: Mapping[str, Predictor],
    clips: Clips,
    index: Int[Tensor, " clips"],
    steps: int,
    samples: int,
    seed: int,
) -> dict[str, Float[np.ndarray, "clips measures time"]]:
    """All measures (``MEASURES``) of every predictor, on the same clips."""
    some = next(iter(predictors.values()))
    images = any(predictor.observation.images for predictor in predictors.values())
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[Tensor]] = {name: [] for name in predictors}
    for part in tqdm(index.split(_BATCH), desc="predict", disable=not sys.stderr.isatty()):
        clip = clips.batch(part, images=images)
        truth = GroundTruth.after(clips, clip, some, steps)
        for name, predictor in predictors.items():
            several = 1 if isinstance(predictor, Reference) else samples
            predicted = predictor.predict(
                clip.observation, steps, several, generator, ego=truth.rollout.states
            )
            values = measure(predicted, truth)
            found[name].append(torch.stack([values[key] for key in MEASURES], dim=1))
    return {name: torch.cat(parts).cpu().numpy() for name, parts in found.items()}


def tempered(
    models: Mapping[str, WorldModel], temperatures: Sequence[float]
) -> dict[str, Predictor]:
    """Each model at each temperature; at 1 it keeps its name."""
    return {
        name if temperature == 1.0 else f"{name}@{temperature:g}": Tempered(model, temperature)
        for name, model in models.items()
        for temperature in temperatures
    }


def judged(
    values: Mapping[str, Float[np.ndarray, "clips measures time"]],
    cluster: Int[np.ndarray, " clips"],
    step_s: float,
) -> tuple[list[Row], list[Row]]:
    """A row for each predictor, and one for each model and each other predictor: differences.

    Args:
        values: of ``measured``; predictors that are no reference are models.
        cluster: whose eyes each clip looks through.
        step_s: seconds from one time to the next.
    """
    steps = next(iter(values.values())).shape[-1]
    horizons = [s for s in HORIZONS_S if step_at(s, step_s) < steps]
    at = [step_at(seconds, step_s) for seconds in horizons]
    names = [f"{key}_{seconds:g}s" for key in MEASURES for seconds in horizons]

    def row(name: str, of: Float[np.ndarray, "clips measures time"]) -> Row:
        means = clustered_means(of[..., at].reshape(len(of), -1), cluster)
        known = (pair for pair in zip(names, means, strict=True) if math.isfinite(pair[1].value))
        return {"name": name, **dict(known)}

    rows = [row(name, of) for name, of in values.items()]
    models = [name for name in values if name not in REFERENCES]
    pairs = [(a, b) for k, a in enumerate(models) for b in (*models[k + 1 :], *REFERENCES)]
    comparisons = [row(f"{a} - {b}", values[a] - values[b]) for a, b in pairs if b in values]
    return rows, comparisons


def table(rows: Sequence[Row]) -> str:
    """What is printed: a table for each measure shown, horizons side by side."""
    parts = []
    near = not any(f"{key}_{SHOWN_S[0]:g}s" in row for row in rows for key in SHOWN)
    for key in SHOWN:
        times = HORIZONS_S if near else SHOWN_S
        names = {f"{key}_{seconds:g}s": f"{seconds:g} s" for seconds in times}
        lines = [
            {key: row["name"]} | {short: row[name] for name, short in names.items() if name in row}
            for row in rows
        ]
        parts.append(format_table([line for line in lines if len(line) > 1]))
    return "\n\n".join(parts)


def main(
    world_model: tuple[Path, ...],
    recordings: tuple[Path, ...],
    json: Path | None = None,
    report: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    clips: int = 512,
    horizon_s: float = 5.0,
    futures: int = 10,
    ensemble: bool = False,
    temperature: tuple[float, ...] = (1.0,),
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Compares predicted with true surroundings, up to some seconds ahead.

    Measures: soft intersection over union and squared error of the vehicles' images, distance of
    vehicles from their true places, error of the driving cost along the recorded path, each as
    the mean over the sampled futures and (but for the squared error) the best of them, and how
    far the futures are apart.  Beside the models: the last image kept, vehicles of constant
    velocity or acceleration, and IDM.  Intervals are bootstrapped over vehicles.

    Args:
        world_model: run directories of train.world_model; a single one is called "model".
        recordings: files written by data.generate or data.prepare.
        json: where to write the table; a part of it is printed either way.
        report: where to write a page with curves and film strips.
        split: test, or all for recordings that nothing was trained on.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        clips: how many clips, drawn at random.
        horizon_s: how far to predict.
        futures: samples for each clip.
        ensemble: judge all runs together as an ensemble, too.
        temperature: scales of the latents' noise, each a row NAME@SCALE but for 1, which is the
            prior; at 0 all futures are the most likely one.
        seed: of clips and samples.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    if min(clips, futures) < 1 or not 0 < horizon_s <= _LONGEST_S:
        raise InputError(
            f"--clips and --futures must be positive, --horizon-s up to {_LONGEST_S:g}"
        )
    if not temperature:
        raise InputError("--temperature: give at least one, 1 for the prior")
    for out in (json, report):
        check_output(out)
    if json is not None and json == report:
        raise InputError(f"--json and --report are both {json}; each needs a file of its own")
    began = time.monotonic()
    runs, where = runs_by_label(world_model), choose_device(device)
    models: dict[str, WorldModel] = {
        name: load_world_model(path).to(where) for name, path in runs.items()
    }
    first = next(iter(models.values()))
    steps = math.ceil(horizon_s / first.step_s - 1e-6)
    held = held_out(list(models.values()), runs, recordings, split, split_manifest, steps, where)
    judged_models = dict(models) if len(models) > 1 else {"model": first}
    if ensemble:
        judged_models["ensemble"] = Ensemble(list(models.values()))
    predictors = tempered(judged_models, temperature) | references(first, held.clips)
    index = held.chosen(clips, seed)
    values = measured(predictors, held.clips, index, steps, futures, seed)
    rows, comparisons = judged(values, held.clips.ego[index].cpu().numpy(), first.step_s)
    sys.stdout.write(table(rows) + "\n")
    config = {
        "world_model": {name: str(path) for name, path in runs.items()},
        **held.identity,
        "seen_in_training": held.seen,
        "ensemble": ensemble, "temperature": list(temperature),
        "clips": len(index), "futures": futures, "horizon_s": steps * first.step_s, "seed": seed,
        "judged_at_s": {
            f"{seconds:g}s": round((step_at(seconds, first.step_s) + 1) * first.step_s, 6)
            for seconds in HORIZONS_S
            if step_at(seconds, first.step_s) < steps
        },
        "device": str(where), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    if json is not None:
        write_results(json, "eval.open_loop", config, rows, comparisons)
    if report is not None:
        shown = {name: predictors[name] for name in predictors if name not in REFERENCES}
        text = page(config, rows, comparisons, shown, held.clips, index[:3])
        with written_whole(report) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
