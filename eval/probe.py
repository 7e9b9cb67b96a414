"""``python -m eval.probe``: information in a world model's embeddings, and for how long."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from data.clips.clips import Clips
from data.splits import Split
from ppuu.encoders.linear_probe import Probe, linear_probe
from ppuu.loading.runs import load_world_model
from ppuu.recordings.lanes import LaneField
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device, seed_everything
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output
from ppuu.world_models import WorldModel

from .driving.drivers import runs_by_label
from .open_loop.held_out import HeldOut, held_out
from .open_loop.metrics import step_at
from .open_loop.mlp_probe import mlp_probe
from .open_loop.probe_targets import KINDS, TargetReader
from .reports.results import write_results
from .reports.tables import text_table
from .statistics.intervals import over_seeds
from .statistics.metric import Row

HORIZONS_S = (0.0, 1.0, 2.0, 3.0)
_BATCH = 64


@dataclass(frozen=True, eq=False)
class ProbeData:
    """Embeddings along rollouts, and the targets of probes.

    Attributes:
        embeddings: ``(clips, time, features)`` of the present and each predicted step.
        targets: ``(clips, time, targets)`` in the order of ``KINDS``, NaN where there is none.
    """

    embeddings: Float[Tensor, "clips time features"]
    targets: Float[Tensor, "clips time targets"]


@torch.no_grad()
def probe_data(model: WorldModel, clips: Clips, index: Tensor, steps: int) -> ProbeData:
    """Unrolls a model from each clip's present, with latents at their prior's mean, 0."""
    reader = TargetReader(
        clips.scene,
        LaneField.build([recording.road for recording in clips.recordings], clips.ego.device),
    )
    number = torch.arange(steps + 1, device=clips.ego.device)
    ahead = number * model.frames_per_step
    embeddings, targets = [], []
    for part in tqdm(index.split(_BATCH), desc="unroll", disable=not sys.stderr.isatty()):
        clip = clips.batch(part, images=model.observation.images)
        state = model.begin(clip.observation)
        states = [model.embedding(state)]
        latents = torch.zeros(len(part), steps, model.spec.latent, device=clips.ego.device)
        for step in range(steps):
            ego = clip.future[:, ahead[step + 1] - 1]
            state, _ = model.step(state, ego, latents, step)
            states.append(model.embedding(state))
        embeddings.append(torch.stack(states, dim=1))
        targets.append(reader.at(clip, number * model.step_s, ahead, model.dt_s))
    return ProbeData(torch.cat(embeddings).cpu(), torch.cat(targets).cpu())


def probe_scores(probe: Probe, data: ProbeData) -> Float[np.ndarray, "time1 targets"]:
    """R² of a probe for each target: at each time, and over all times."""
    prediction = probe(data.embeddings.flatten(0, 1)).view_as(data.targets)
    return r2_scores(prediction, data.targets)


def r2_scores(
    prediction: Float[Tensor, "clips time targets"], true: Float[Tensor, "clips time targets"]
) -> Float[np.ndarray, "time1 targets"]:
    """Coefficients of determination; the last row is over all times.

    NaN for targets that do not vary by more than a thousandth.
    """
    known = true.isfinite() & prediction.isfinite()
    error = torch.where(known, (prediction - true).square(), 0.0)
    count = known.sum(0)
    mean = torch.where(known, true, 0.0).sum(0) / count
    all_mean = torch.where(known, true, 0.0).sum((0, 1)) / count.sum(0)
    total = torch.where(known, (true - mean).square(), 0.0).sum(0)
    all_total = torch.where(known, (true - all_mean).square(), 0.0).sum((0, 1))
    by_time = 1.0 - error.sum(0) / total.masked_fill(total < 1e-6 * count, torch.nan)
    constant = all_total < 1e-6 * count.sum(0)
    overall = 1.0 - error.sum((0, 1)) / all_total.masked_fill(constant, torch.nan)
    return torch.cat([by_time, overall[None]]).numpy()


def rows_of(
    name: str, probe: str, scores: Sequence[Float[np.ndarray, "time1 targets"]], step_s: float
) -> list[Row]:
    """A row for each kind of target and for each target, seeds together.

    Args:
        name, probe: of the model and of the probe.
        scores: of ``r2_scores``, one a seed.
        step_s: seconds from one time to the next.
    """
    values, kinds = np.stack(scores), np.array(list(KINDS.values()))
    at = {f"r2_{s:g}s": 0 if s == 0 else step_at(s, step_s) + 1 for s in HORIZONS_S}
    at = {key: time for key, time in at.items() if time < values.shape[1] - 1} | {"r2": -1}
    rows: list[Row] = []
    for kind in dict.fromkeys(KINDS.values()):
        some = np.nanmean(values[:, :, kinds == kind], axis=2)
        row: dict[str, Any] = {"name": name, "probe": probe, "target": kind}
        rows.append(row | {key: over_seeds(some[:, time]) for key, time in at.items()})
    for number, (target, kind) in enumerate(KINDS.items()):
        row = {"name": name, "probe": probe, "target": target, "kind": kind}
        rows.append(row | {k: over_seeds(values[:, time, number]) for k, time in at.items()})
    return rows


@dataclass(frozen=True, eq=False)
class ProbeStudy:
    """The clips that probes are trained and tested on.

    Attributes:
        training, test: clips of two splits.
        probe_clips, clips: how many of each.
        steps: of the model, to predict.
        seeds: one probe each.
    """

    training: HeldOut
    test: HeldOut
    probe_clips: int
    clips: int
    steps: int
    seeds: Sequence[int]

    def rows(self, name: str, model: WorldModel) -> list[Row]:
        """All rows of one model; each seed draws its own training clips."""
        index = self.test.draw(self.clips, 0)
        test = probe_data(model, self.test.clips, index, self.steps)
        scores: dict[str, list] = {"linear": [], "mlp": []}
        for seed in self.seeds:
            seed_everything(seed)
            # In order, so that the last of them, which choose the ridge, are of other drivers.
            index = self.training.draw(self.probe_clips, seed).sort().values
            part = probe_data(model, self.training.clips, index, self.steps)
            flat = part.embeddings.flatten(0, 1), part.targets.flatten(0, 1)
            scores["linear"].append(probe_scores(linear_probe(*flat), test))
            scores["mlp"].append(probe_scores(mlp_probe(*flat, seed), test))
        rows = [row for key in scores for row in rows_of(name, key, scores[key], model.step_s)]
        return rows + unchanged(test.targets, model.step_s)


def unchanged(targets: Float[Tensor, "clips time targets"], step_s: float) -> list[Row]:
    """R² of the present's true values as a prediction of later ones."""
    return rows_of(
        "unchanged", "truth", [r2_scores(targets[:, :1].expand_as(targets), targets)], step_s
    )


def main(
    world_model: tuple[Path, ...],
    recordings: tuple[Path, ...],
    json: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    probe_clips: int = 1500,
    clips: int = 500,
    horizon_s: float = 3.0,
    seeds: tuple[int, ...] = (0, 1, 2),
    untrained: bool = False,
    device: str = "auto",
) -> None:
    """Probes predicted embeddings for neighbours, lanes and the ego's own motion.

    One probe, shared by all times, is trained on the training split of the recordings, on frozen
    embeddings of the present and of each predicted step; R² on another split is reported for fast,
    slow and own targets and for each horizon.  A linear probe finds what is linearly accessible, an
    MLP what is present.  ``unchanged`` predicts the true values of the present for all times.

    Args:
        world_model: run directories, of models that have embeddings.
        recordings: files written by data.generate or data.prepare.
        json: where to write the results; a part of them is printed either way.
        split: what the probe is tested on, val or test; it is trained on train.
        split_manifest: file of data.splits that defines the splits (default: by time).
        probe_clips: number of clips to train on.
        clips: number of clips to test on.
        horizon_s: how far to predict.
        seeds: a probe each, with its own clips and weights; intervals are over them.
        untrained: probe the same networks with random weights, too.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    if min(clips, probe_clips) < 1 or not horizon_s > 0:
        raise InputError("--clips, --probe-clips and --horizon-s must be positive")
    if not seeds or len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds {' '.join(map(str, seeds))}: at least one, and each once")
    if split not in ("val", "test"):
        raise InputError(
            f"--split {split}: probes are trained on train; test them on val or test, of "
            "data.splits if the recordings are short"
        )
    check_output(json)
    began = time.monotonic()
    runs, where = runs_by_label(world_model), choose_device(device)
    models: dict[str, WorldModel] = {
        name: load_world_model(path).to(where) for name, path in runs.items()
    }
    for name, model in models.items():
        if not model.spec.embedding:
            raise InputError(f"{runs[name]}: this kind of model has no embedding to probe")
    first = next(iter(models.values()))
    # A frame more than the horizon, so that the last acceleration is known.
    steps = max(1, round(horizon_s / first.step_s))
    training, test = (
        held_out(list(models.values()), runs, recordings, part, split_manifest, steps + 1, where)
        for part in ("train", split)
    )
    study, rows = ProbeStudy(training, test, probe_clips, clips, steps, seeds), []
    for name, model in models.items():
        rows += study.rows(name, model)
        if untrained:
            rows += study.rows(f"{name} untrained", _untrained(model))
    rows = list({(row["name"], row["probe"], row["target"]): row for row in rows}.values())
    sys.stdout.write(text_table([row for row in rows if "kind" not in row]) + "\n")
    if json is not None:
        config: Mapping[str, Any] = {
            "world_model": {name: str(path) for name, path in runs.items()},
            **test.identity,
            "seen_in_training": test.seen_in_training,
            "probe_clips": probe_clips, "clips": clips, "seeds": list(seeds),
            "horizon_s": steps * first.step_s, "device": str(where),
            "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        write_results(json, "eval.probe", config, rows)


def _untrained(model: WorldModel) -> WorldModel:
    """The same network before training; a normaliser keeps its statistics."""
    seed_everything(0)
    untrained = model.config.build()  # type: ignore[attr-defined]
    if model.normalizer is not None:
        untrained.normalizer.load_state_dict(model.normalizer.state_dict())
    return untrained.requires_grad_(False).eval().to(next(model.parameters()).device)


if __name__ == "__main__":
    run(main)
