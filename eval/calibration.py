"""``python -m eval.calibration``: whether a world model's spread predicts its errors."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from data.clips.clips import Clip, Clips
from data.splits import Split
from ppuu.kinematics import rollout
from ppuu.loading.runs import load_world_models
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device, seed_everything
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, check_output
from ppuu.world_models import Ensemble, WorldModel

from .driving.drivers import runs_by_label
from .open_loop.calibration_metrics import (
    Spread,
    concatenate,
    deviations_from_truth,
    spreads,
)
from .open_loop.held_out import held_out
from .open_loop.metrics import GroundTruth, step_at
from .reports.calibration_plot import plot
from .reports.results import write_results
from .reports.tables import text_table
from .statistics.metric import Row

HORIZONS_S = (1.0, 2.0, 3.0)
UNUSUAL_ACTIONS = {
    "braking": (-5.0, 0.0),
    "accelerating": (3.0, 0.0),
    "swerving": (0.0, 0.02),
}
"""Constant actions (m/s², 1/m) that no driver in dense traffic keeps up for seconds."""
_REPLICAS = 8
_BATCH = 32


@torch.no_grad()
def evaluate(
    model: WorldModel,
    clips: Clips,
    index: Int[Tensor, " clips"],
    steps: int,
    samples: int,
    generator: torch.Generator,
) -> dict[tuple[str, int], Spread]:
    """Spreads and errors on clips, by quantity and step."""
    times = [step_at(seconds, model.step_s) for seconds in HORIZONS_S]
    parts = []
    for part in tqdm(index.split(_BATCH), desc="predict", disable=not sys.stderr.isatty()):
        clip = clips.batch(part, images=model.observation.images)
        truth = GroundTruth.after(clips, clip, model, steps)
        ego, observation = truth.rollout.states, clip.observation
        sampled = model.predict(observation, steps, samples, generator, ego=ego)
        replicas = model.replicas(_REPLICAS, generator)
        predicted = replicas.predict(observation, steps, replicas.count, generator, ego=ego)
        parts.append(
            spreads(
                deviations_from_truth(sampled, truth), deviations_from_truth(predicted, truth),
                clip.ego, times,
            )
        )  # fmt: skip
    return concatenate(parts)


@torch.no_grad()
def disagreement_by_actions(
    model: WorldModel,
    clips: Clips,
    index: Int[Tensor, " clips"],
    steps: int,
    generator: torch.Generator,
) -> dict[str, Float[Tensor, " time"]]:
    """Disagreement of a coupled model's replicas under actions that are not in its training data.

    Root mean square deviation of the predicted images, in the same clips, for the recorded path
    and for each of ``UNUSUAL_ACTIONS`` as a constant.
    """
    variances: dict[str, list[Tensor]] = {}
    for part in index.split(_BATCH):
        clip = clips.batch(part, images=True)
        for name, ego in _paths(clip, model, steps):
            replicas = model.replicas(_REPLICAS, generator)
            prediction = replicas.predict(
                clip.observation, steps, replicas.count, generator, ego=ego[:, None]
            )
            variances.setdefault(name, []).append(prediction.disagreement()[:, 0])
    return {name: torch.cat(parts).mean(0).sqrt() for name, parts in variances.items()}


def _paths(
    clip: Clip, model: WorldModel, steps: int
) -> Iterable[tuple[str, Float[Tensor, "batch time 4"]]]:
    """The recorded path, and those of unusual actions."""
    frames = model.frames_per_step
    yield "recorded", clip.future[:, frames - 1 : steps * frames : frames]
    start = clip.observation.ego[:, -1]
    for name, action in UNUSUAL_ACTIONS.items():
        actions = start.new_tensor(action).expand(len(start), steps * frames, 2)
        yield name, rollout(start, actions, model.dt_s)[:, frames - 1 :: frames]


def rows_of(
    quantities: Mapping[tuple[str, int], Spread], name: str, model: WorldModel
) -> list[Row]:
    """A row for each quantity."""
    rows = []
    for key in dict.fromkeys(key for key, _ in quantities):
        row: dict[str, Any] = {"name": f"{name} {key}"}
        for seconds in HORIZONS_S:
            metrics = quantities[key, step_at(seconds, model.step_s)].metrics()
            row |= {f"{metric}_{seconds:g}s": value for metric, value in metrics.items()}
        rows.append(row)
    return rows


def curves_of(
    quantities: Mapping[tuple[str, int], Spread], model: WorldModel
) -> dict[str, dict[str, list]]:
    """Reliability curves, by quantity and horizon, then by source of the deviation."""
    return {
        f"{key}_{seconds:g}s": {
            source: quantities[key, step_at(seconds, model.step_s)].reliability(source).tolist()
            for source in ("sampled", "replicas")
        }
        for key in dict.fromkeys(key for key, _ in quantities)
        for seconds in HORIZONS_S
    }


def main(
    world_model: tuple[Path, ...],
    recordings: tuple[Path, ...],
    elsewhere: tuple[Path, ...] = (),
    json: Path | None = None,
    plot_to: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    clips: int = 256,
    futures: int = 39,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Compares the spread of a model's samples, and its replicas' disagreement, to its true errors.

    For vehicles' positions along and across their headings (or images, for models of pixels) and
    for the driving cost, at 1, 2 and 3 seconds: root mean square errors and deviations, their rank
    correlation (Spearman), and the fraction of targets inside the central 50, 80 and 95 per cent of
    the samples.  Intervals are bootstrapped over vehicles.  Elsewhere: the same on traffic of other
    kinds, where the replicas' disagreement should rise with the error.

    Args:
        world_model: a run directory of train.world_model (replicas by dropout), or several of
            the same configuration (an ensemble).
        recordings: traffic of the kind that the model was trained on.
        elsewhere: recordings of other kinds of traffic, each of them whole and a row.
        json: where to write rows and reliability curves; a part of them is printed either way.
        plot_to: where to draw them, as PNG.
        split: test, or all for recordings that no model was trained on.
        split_manifest: file of data.splits that defines the split (default: by time).
        clips: number of clips of each, drawn at random.
        futures: samples for each clip; with 39 the intervals end on whole samples.
        seed: of clips and samples.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    if clips < 2 or futures < 2:
        raise InputError(f"--clips {clips}, --futures {futures}: both must be at least 2")
    for out in (json, plot_to):
        check_output(out)
    began = time.monotonic()
    where = choose_device(device)
    model = load_world_models(world_model).to(where)
    steps = step_at(HORIZONS_S[-1], model.step_s) + 1
    runs = runs_by_label(world_model)
    held = held_out([model], runs, recordings, split, split_manifest, steps, where)
    index = held.draw(clips, seed)
    seed_everything(seed)
    generator = torch.Generator().manual_seed(seed)
    quantities = evaluate(model, held.clips, index, steps, futures, generator)
    rows, others = rows_of(quantities, "here", model), []
    for path in elsewhere:
        other = held_out([model], runs, [path], "all", None, steps, where)
        chosen = other.draw(clips, seed)
        there = evaluate(model, other.clips, chosen, steps, futures, generator)
        others += rows_of(there, path.stem, model)
    config = {
        "world_model": {name: str(path) for name, path in runs.items()},
        **held.identity,
        "elsewhere": [str(path) for path in elsewhere],
        "seen_in_training": held.seen_in_training,
        "replicas": "ensemble" if isinstance(model, Ensemble) else "dropout",
        "clips": len(index), "futures": futures, "seed": seed,
        "reliability": curves_of(quantities, model),
    }  # fmt: skip
    if model.spec.conditioned_on_ego:
        deviations = disagreement_by_actions(model, held.clips, index, steps, generator)
        config["image_deviation_after_actions"] = {k: v.tolist() for k, v in deviations.items()}
    config["device"] = str(where)
    config["seconds"] = round(time.monotonic() - began, 1)
    sys.stdout.write(_table([*rows, *others]) + "\n")
    if json is not None:
        write_results(json, "eval.calibration", config, rows, others)
    if plot_to is not None:
        with atomic_write(plot_to) as temporary:
            temporary.write_bytes(plot(config["reliability"], rows, others))


def _table(rows: list[Row]) -> str:
    """What is printed: 2 s ahead."""
    return text_table(
        [
            {
                key.removesuffix("_2s"): value
                for key, value in row.items()
                if key == "name" or key.endswith("_2s")
            }
            for row in rows
        ]
    )


if __name__ == "__main__":
    run(main)
