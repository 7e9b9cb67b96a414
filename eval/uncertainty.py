"""``python -m eval.uncertainty``: does MPUR's uncertainty rise with the error of predictions?"""

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
from ppuu.objectives import UnrollConfig, fit_expert_scale, predicted_traffic, rollout_noise
from ppuu.policies import NetworkPolicy
from ppuu.policies.unroll import unroll
from ppuu.predictions import BoxPrediction, Rollout
from ppuu.recordings.tracks import extrapolated_states
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import check_output
from ppuu.world_models import WorldModel

from .driving.drivers import labels, runs_by_label
from .open_loop.held_out import held_out
from .reports.results import write_results
from .reports.tables import text_table
from .statistics.clustered import clustered_means
from .statistics.metric import Metric, Row
from .statistics.rank_correlation import centred_ranks, clustered_rank_correlation

EXPERT = "recorded human"
_NEAR = 1e-3
"""Predicted bounded cost above which a vehicle is near."""
_BATCH = 32


@dataclass(frozen=True, eq=False)
class PathUncertainty:
    """Uncertainty and errors along paths, step by step.

    Attributes:
        disagreement: of the replicas, in experts' standard deviations above their mean.
        penalty: of MPUR: the disagreement beyond the hinge, kinds added.
        cost: the predicted bounded cost of vehicles, mean over replicas.
        cost_error: its absolute difference from the cost in the true surroundings.
    """

    disagreement: Float[np.ndarray, "clips time"]
    penalty: Float[np.ndarray, "clips time"]
    cost: Float[np.ndarray, "clips time"]
    cost_error: Float[np.ndarray, "clips time"]


def true_surroundings(clips: Clips, clip: Clip, rollout: Rollout, frames: int) -> BoxPrediction:
    """The true surroundings of the paths: recorded traffic, which does not react to them.

    A vehicle whose recording ends drives on at its last velocity.

    Args:
        clips: the recordings.
        clip: histories that the paths continue.
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
    """The bounded cost of vehicles, whose variance MPUR penalises."""
    return 1.0 - torch.exp(-DrivingCost(config.cost).evaluate(rollout).vehicle_cost)


@torch.no_grad()
def evaluate(
    policy: NetworkPolicy | None,
    model: WorldModel,
    clips: Clips,
    index: Int[Tensor, " clips"],
    uncertainty: Uncertainty,
    config: UnrollConfig,
    generator: torch.Generator,
) -> PathUncertainty:
    """Drives in the model and compares its costs to those in the true surroundings.

    Args:
        policy: drives in the model; the recorded human without one.
        model: predicts the surroundings.
        clips, index: the histories to start from.
        uncertainty: fitted to experts.
        config: of the unroll.
        generator: of latents and replicas.
    """
    parts = []
    frames = model.frames_per_step
    ahead = torch.arange(1, config.steps + 1) * frames - 1
    images = model.observation.images or (policy is not None and policy.config.observation.images)
    for part in tqdm(index.split(_BATCH), desc="unroll", disable=not sys.stderr.isatty()):
        clip = clips.batch(part, images=images)
        observation = clip.observation
        replicas = model.replicas(config.replicas, generator)
        if policy is None:
            path = clip.future[:, None, ahead]
            prediction = replicas.predict(
                observation, config.steps, replicas.count, generator, ego=path
            )
            rollout = Rollout(
                path, clip.actions[:, None, ahead], clip.previous_action[:, None],
                observation.size_m, prediction, model.step_s,
            )  # fmt: skip
        else:
            noise = rollout_noise(replicas, observation, config.steps, generator)
            rollout = unroll(
                policy,
                predicted_traffic(replicas, observation, observation, noise, replicas.count),
                observation, clip.previous_action, config.steps, frames, model.dt_s,
            )  # fmt: skip
        costs = DrivingCost(config.cost).evaluate(rollout).vehicle_cost
        truth = replace(rollout, prediction=true_surroundings(clips, clip, rollout, frames))
        predicted_cost = (1.0 - torch.exp(-costs[:, 0])).mean(1)
        true_cost = bounded_costs(truth, config)[:, 0, 0]
        variances = uncertainty.variances(rollout, costs)
        values = (
            uncertainty.standardise(variances)[:, 0].mean(1),
            uncertainty.disagreement(variances)[:, 0],
            predicted_cost,
            (predicted_cost - true_cost).abs(),
        )
        parts.append([value.cpu().numpy() for value in values])
    return PathUncertainty(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def row(name: str, paths: PathUncertainty, cluster: Int[np.ndarray, " clips"]) -> Row:
    """Mean uncertainty, mean error, and their rank correlation; whole vehicles resampled."""
    columns = np.stack([paths.penalty.mean(1), paths.cost_error.mean(1)], axis=1)
    uncertainty, cost_error = clustered_means(columns, cluster)
    cluster_of_step = np.repeat(cluster, paths.cost_error.shape[1])
    everywhere = np.ones_like(paths.cost_error, dtype=bool)
    # Where no vehicle is near, uncertainty and error are both near 0, which proves little.
    near = paths.cost > _NEAR

    def correlation(values: Float[np.ndarray, "clips time"], among: np.ndarray) -> Metric:
        return clustered_rank_correlation(
            _ranks(values, among), _ranks(paths.cost_error, among), cluster_of_step[among.flatten()]
        )

    return {
        "name": name,
        "uncertainty": uncertainty,
        "cost_error": cost_error,
        "rank_correlation": correlation(paths.disagreement, everywhere),
        "by_cost_alone": correlation(paths.cost, everywhere),
        "vehicle_near": float(near.mean()),
        "rank_correlation_near": correlation(paths.disagreement, near),
        "by_cost_alone_near": correlation(paths.cost, near),
        "rank_correlation_of_clips": clustered_rank_correlation(
            paths.disagreement.mean(1), paths.cost_error.mean(1), cluster
        ),
    }


def _ranks(
    values: Float[np.ndarray, "clips time"], among: Bool[np.ndarray, "clips time"]
) -> Float[np.ndarray, " some"]:
    """Ranks within each step among some of the clips; growth with the horizon does not count."""
    ranks = np.zeros_like(values, dtype=float)
    for step, some in enumerate(among.T):
        ranks[some, step] = centred_ranks(values[some, step])
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
    device: str = "auto",
) -> None:
    """Drives policies inside a world model and compares MPUR's uncertainty with the true error.

    Recorded traffic does not react, so the true surroundings of a policy's predicted path are
    known: the error is the difference of the bounded cost of vehicles in predicted and in recorded
    surroundings.  Uncertainty is the variance of that cost over replicas, in standard deviations
    above the mean along recorded paths of other clips; the table has its part beyond the hinge and
    its rank correlation with the errors (Spearman, within each step, and clip by clip), beside that
    of the predicted cost, and again for the steps with a vehicle near (that cost above 0.001).

    Args:
        world_model: a run directory of train.world_model, or several (an ensemble).
        recordings: traffic that no model was trained on.
        policy: run directories of train.policy; the recorded human is always a row.
        json: where to write the rows; they are printed either way.
        split: test, or all for recordings that no model was trained on.
        split_manifest: file of data.splits that defines the split (default: by time).
        clips: number of clips, drawn at random; as many others set the scale.
        steps: of the model.
        replicas: of the model.
        hinge: standard deviations above the mean without a penalty.
        seed: of clips, latents and dropout.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    if clips < 2:
        raise InputError(f"--clips {clips}: must be at least 2")
    if not world_model:
        raise InputError("--world-model: name a run directory of train.world_model")
    if Path("human") in policy:
        raise InputError("--policy human: the recorded human is a row anyway; leave it out")
    check_output(json)
    began = time.monotonic()
    config = UnrollConfig(steps=steps, replicas=replicas, hinge=hinge)
    where = choose_device(device)
    model = load_world_models(world_model).to(where)
    names = labels([str(path) for path in policy])
    drivers = {names[str(path)]: load_policy(path).to(where) for path in policy}
    for name, driver in drivers.items():
        driver.config.require_world(model, f"--policy {name}")
    runs = runs_by_label(world_model)
    held = held_out([model], runs, recordings, split, split_manifest, steps, where)
    chosen = held.draw(2 * clips, seed)
    scale, index = chosen[: len(chosen) // 2], chosen[len(chosen) // 2 :]
    generator = torch.Generator().manual_seed(seed)
    uncertainty = Uncertainty(steps, hinge, model.spec.conditioned_on_ego)
    demonstrations = (
        held.clips.batch(part, images=model.observation.images) for part in scale.split(_BATCH)
    )
    recorded = ((clip.observation, clip.future, clip.actions) for clip in demonstrations)
    fit_expert_scale(uncertainty, model, config, recorded, generator)
    uncertainty.to(where)
    cluster = held.clips.ego[index].cpu().numpy()
    rows: list[Row] = []
    for name, driver in {EXPERT: None, **drivers}.items():
        generator.manual_seed(seed)
        paths = evaluate(driver, model, held.clips, index, uncertainty, config, generator)
        rows.append(row(name, paths, cluster))
    print(text_table(rows))
    if json is not None:
        settings: Mapping = {
            "world_model": {name: str(path) for name, path in runs.items()}, **held.identity,
            "seen_in_training": held.seen_in_training, "clips": len(index), "steps": steps,
            "replicas": replicas, "hinge": hinge, "seed": seed,
            "device": str(where), "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
        write_results(json, "eval.uncertainty", settings, rows)


if __name__ == "__main__":
    run(main)
