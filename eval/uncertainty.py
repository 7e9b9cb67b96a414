"""``python -m eval.uncertainty``: does the price that MPUR puts on ignorance rise with error?"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from data.clips.clips import Clip, Clips
from data.splits import Split
from ppuu.costs import DrivingCost, Uncertainty
from ppuu.loading.runs import load_policy, load_world_models
from ppuu.objectives import UnrollConfig, expert_variances, predicted_traffic, rollout_noise
from ppuu.policies import NetworkPolicy
from ppuu.policies.unroll import unroll
from ppuu.predictions import BoxPrediction, Rollout
from ppuu.recordings.tracks import extrapolated_states
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output
from ppuu.world_models import WorldModel

from .driving.drivers import labels, runs_by_label
from .open_loop.held_out import held_out
from .reports.results import Metric, Row, format_table, write_results
from .statistics.clustered import clustered_means, clustered_rank_correlation, ranks_of

EXPERT = "recorded human"
_NEAR = 1e-3
"""Predicted bounded cost above which somebody is near."""
_BATCH = 32


@dataclass(frozen=True, eq=False)
class Judged:
    """What was foreseen along some paths, step by step.

    Attributes:
        found: the replicas' disagreement, in experts' deviations above their mean.
        priced: what MPUR pays for: what of it exceeds the hinge, kinds added.
        cost: the predicted bounded cost of others, mean over replicas.
        wrong: how much it differs from what was really there.
    """

    found: Float[np.ndarray, "clips time"]
    priced: Float[np.ndarray, "clips time"]
    cost: Float[np.ndarray, "clips time"]
    wrong: Float[np.ndarray, "clips time"]


def true_surroundings(clips: Clips, clip: Clip, rollout: Rollout, frames: int) -> BoxPrediction:
    """What really surrounded the paths: recorded traffic, which no driving changes.

    A vehicle that leaves the recording drives on, as a model of tracks predicts.

    Args:
        clips: where the clips were cut from.
        clip: where the paths begin.
        rollout: the paths in predicted surroundings.
        frames: recorded frames from one entry of a rollout to the next.
    """
    steps, tracks = rollout.states.shape[2], clip.observation.tracks
    assert tracks is not None
    assert clip.observation.road is not None
    ahead = torch.arange(1, steps + 1, device=clip.frame.device) * frames
    states = extrapolated_states(clips.scene, tracks.vehicle, clip.frame[:, None] + ahead)
    return BoxPrediction(
        rollout.prediction.pose[:, :1], rollout.prediction.raster,
        states.transpose(1, 2)[:, None, None], tracks.size_m, tracks.valid_now,
        clip.observation.road,
    )  # fmt: skip


def bounded_costs(
    rollout: Rollout, config: UnrollConfig
) -> Float[Tensor, "batch candidates samples time"]:
    """The bounded cost of others, whose variance the regulariser looks at."""
    return 1.0 - torch.exp(-DrivingCost(config.cost).evaluate(rollout).vehicle_cost)


@torch.no_grad()
def judged(
    policy: NetworkPolicy | None,
    model: WorldModel,
    clips: Clips,
    index: Int[Tensor, " clips"],
    uncertainty: Uncertainty,
    config: UnrollConfig,
    generator: torch.Generator,
) -> Judged:
    """Drives in the model, and looks what was really there.

    Args:
        policy: who drives in the model; the recorded human without one.
        model: in which they drive.
        clips, index: where.
        uncertainty: fitted to experts.
        config: of the unroll.
        generator: of latents and replicas.
    """
    parts = []
    frames = model.frames_per_step
    ahead = torch.arange(1, config.steps + 1) * frames - 1
    looks = model.observation.images or (policy is not None and policy.config.observation.images)
    for part in tqdm(index.split(_BATCH), desc="unroll", disable=not sys.stderr.isatty()):
        clip = clips.batch(part, images=looks)
        seen = clip.observation
        replicas = model.replicas(config.replicas, generator)
        if policy is None:
            path = clip.future[:, None, ahead]
            prediction = replicas.predict(seen, config.steps, replicas.count, generator, ego=path)
            rollout = Rollout(
                path, clip.actions[:, None, ahead], clip.previous_action[:, None], seen.size_m,
                prediction, model.step_s,
            )  # fmt: skip
        else:
            noise = rollout_noise(replicas, seen, config.steps, generator)
            rollout = unroll(
                policy, predicted_traffic(replicas, seen, seen, noise, replicas.count), seen,
                clip.previous_action, config.steps, frames, model.dt_s,
            )  # fmt: skip
        costs = DrivingCost(config.cost).evaluate(rollout).vehicle_cost
        there = replace(rollout, prediction=true_surroundings(clips, clip, rollout, frames))
        told, real = 1.0 - torch.exp(-costs[:, 0]), bounded_costs(there, config)[:, 0]
        variances = uncertainty.variances(rollout, costs)
        values = (
            uncertainty.standardise(variances)[:, 0].mean(1),
            uncertainty.disagreement(variances)[:, 0],
            told.mean(1),
            (told.mean(1) - real[:, 0]).abs(),
        )
        parts.append([value.numpy() for value in values])
    return Judged(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def row(name: str, seen: Judged, cluster: Int[np.ndarray, " clips"]) -> Row:
    """Mean uncertainty, mean error, and how one ranks the other; whole vehicles resampled."""
    means = clustered_means(np.stack([seen.priced.mean(1), seen.wrong.mean(1)], axis=1), cluster)
    every = np.repeat(cluster, seen.wrong.shape[1])
    everywhere = np.ones_like(seen.wrong, dtype=bool)
    # Where nobody is near, uncertainty and error are both nothing, which proves little.
    near = seen.cost > _NEAR

    def correlation(values: Float[np.ndarray, "clips time"], among: np.ndarray) -> Metric:
        return clustered_rank_correlation(
            _ranks(values, among), _ranks(seen.wrong, among), every[among.flatten()]
        )

    found: Row = {
        "name": name,
        "uncertainty": means[0],
        "cost_error": means[1],
        "rank_correlation": correlation(seen.found, everywhere),
        "by_cost_alone": correlation(seen.cost, everywhere),
        "somebody_near": float(near.mean()),
        "rank_correlation_near": correlation(seen.found, near),
        "by_cost_alone_near": correlation(seen.cost, near),
        "rank_correlation_of_clips": clustered_rank_correlation(
            seen.found.mean(1), seen.wrong.mean(1), cluster
        ),
    }
    return found


def _ranks(
    values: Float[np.ndarray, "clips time"], among: Bool[np.ndarray, "clips time"]
) -> Float[np.ndarray, " some"]:
    """Ranks within each step, of those who count: that values grow with the horizon is no merit."""
    ranks = np.zeros_like(values, dtype=float)
    for step, some in enumerate(among.T):
        ranks[some, step] = ranks_of(values[some, step])
    return ranks[among]


def main(
    world_model: tuple[Path, ...],
    recordings: tuple[Path, ...],
    policy: tuple[Path, ...] = (),
    json: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    clips: int = 512,
    steps: int = 10,
    replicas: int = 10,
    hinge: float = 0.5,
    seed: int = 0,
) -> None:
    """Drives policies inside a world model and compares MPUR's uncertainty with the true error.

    Recorded traffic does not react, so what really surrounded a policy's imagined path is known:
    the error is the difference of the bounded cost of others in predicted and in recorded
    surroundings.  Uncertainty is the variance of that cost between replicas, in deviations above
    the mean of recorded drivers on other clips; the table has what exceeds the hinge, and how well
    it ranks the errors (Spearman, steps apart, and clip by clip): beside how well the predicted
    cost itself does, and once more for the steps at which somebody is near (that cost above 0.001).

    Args:
        world_model: a run directory of train.world_model, or several (an ensemble).
        recordings: traffic that nothing was trained on.
        policy: run directories of train.policy; the recorded human is always a row.
        json: where to write the rows; printed either way.
        split: test, or all for recordings that nothing was trained on.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        clips: how many, drawn at random; as many others set the scale.
        steps: of the model.
        replicas: of the model.
        hinge: deviations that are free.
        seed: of clips, latents and dropout.
    """
    if clips < 2:
        raise InputError(f"--clips {clips}: at least 2")
    if not world_model:
        raise InputError("--world-model: name a run directory of train.world_model")
    if Path("human") in policy:
        raise InputError("--policy human: the recorded human is a row anyway; leave it out")
    check_output(json)
    began = time.monotonic()
    config = UnrollConfig(steps=steps, replicas=replicas, hinge=hinge)
    model = load_world_models(world_model)
    names = labels([str(path) for path in policy])
    drivers = {names[str(path)]: load_policy(path) for path in policy}
    for name, driver in drivers.items():
        driver.config.require_world(model, f"--policy {name}")
    runs = runs_by_label(world_model)
    held = held_out([model], runs, recordings, split, split_manifest, steps)
    chosen = held.chosen(2 * clips, seed)
    scale, index = chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
    generator = torch.Generator().manual_seed(seed)
    uncertainty = fitted(model, held.clips, scale, config, generator)
    cluster = held.clips.ego[index].numpy()
    rows: list[Row] = []
    for name, driver in {EXPERT: None, **drivers}.items():
        generator.manual_seed(seed)
        seen = judged(driver, model, held.clips, index, uncertainty, config, generator)
        rows.append(row(name, seen, cluster))
    print(format_table(rows))
    if json is not None:
        settings: Mapping = {
            "world_model": {name: str(path) for name, path in runs.items()}, **held.identity,
            "seen_in_training": held.seen, "clips": len(index), "steps": steps,
            "replicas": replicas, "hinge": hinge, "seed": seed,
            "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        write_results(json, "eval.uncertainty", settings, rows)


@torch.no_grad()
def fitted(
    model: WorldModel,
    clips: Clips,
    index: Int[Tensor, " clips"],
    config: UnrollConfig,
    generator: torch.Generator,
) -> Uncertainty:
    """The regulariser, its scale set by recorded drivers."""
    ahead = torch.arange(1, config.steps + 1) * model.frames_per_step - 1
    uncertainty = Uncertainty(config.steps, config.hinge, model.spec.conditioned_on_ego)
    found = []
    for part in index.split(_BATCH):
        clip = clips.batch(part, images=model.observation.images)
        path, actions = clip.future[:, ahead], clip.actions[:, ahead]
        found.append(
            expert_variances(model, clip.observation, path, actions, config, uncertainty, generator)
        )
    uncertainty.fit(torch.cat(found))
    return uncertainty


if __name__ == "__main__":
    run(main)
