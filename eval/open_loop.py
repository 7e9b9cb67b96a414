"""``python -m eval.open_loop``: how well a world model foresees recordings it has not seen."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from data.clips import Clip, Clips
from data.splits import Split, SplitManifest, part_of
from ppuu.checkpoint import Checkpoint
from ppuu.command import run
from ppuu.costs import DrivingCost
from ppuu.errors import InputError
from ppuu.files import check_output
from ppuu.raster import VEHICLES, draw_vehicles
from ppuu.recording import load_recordings
from ppuu.rollout import Futures, Rollout
from ppuu.runs import load_world_model
from ppuu.runtime import seed_everything
from ppuu.world_models import WorldModel

from .policies import warn_of_seen
from .results import Row, format_table, mean, write_results

HORIZONS_S = (1.0, 2.0, 3.0)
_BATCH = 32


def overlap(
    predicted: Float[Tensor, "*shape rows columns"], true: Float[Tensor, "*shape rows columns"]
) -> Float[Tensor, "*shape"]:
    """Soft intersection over union of two coverage images; 1 where both are empty."""
    both = torch.minimum(predicted, true).sum((-2, -1))
    either = torch.maximum(predicted, true).sum((-2, -1))
    return torch.where(either > 0.5, both / either.clamp(min=0.5), 1.0)


def constant_velocity(
    clips: Clips, clip: Clip, seconds: Float[Tensor, " time"], poses: Float[Tensor, "batch time 3"]
) -> Float[Tensor, "batch time rows columns"]:
    """Every vehicle keeps its true present velocity and is drawn anew: knows more than a raster."""
    boxes, visible = clips.scene.others(clip.frame, clip.ego)
    travelled = clips.scene.speed_mps[clip.frame][:, None] * seconds[:, None]
    moved = boxes[:, None].repeat(1, len(seconds), 1, 1)
    moved[..., 0] += travelled * boxes[:, None, :, 2].cos()
    moved[..., 1] += travelled * boxes[:, None, :, 2].sin()
    seen = visible[:, None].expand(-1, len(seconds), -1).flatten(0, 1)
    images = draw_vehicles(poses.flatten(0, 1), moved.flatten(0, 1), seen, clips.config.raster)
    return images.unflatten(0, (-1, len(seconds)))


@torch.no_grad()
def evaluate(
    model: WorldModel, clips: Clips, steps: int, count: int, futures: int, seed: int
) -> list[Row]:
    """Errors of the model and of predictors without learning, on the same clips."""
    frames = model.frames_per_step
    ahead = torch.arange(1, steps + 1) * frames
    seconds = ahead * clips.scene.dt_s
    chosen = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))[:count]
    seed_everything(seed)
    measured: dict[str, dict[str, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    for index in tqdm(chosen.split(_BATCH), desc="predict", disable=not sys.stderr.isatty()):
        clip = clips.batch(index)
        ego = clip.future[:, ahead - 1]
        poses = model.image_poses(clip.observation, ego)
        truth = clips.draw_vehicles(clip, ahead, poses)[:, None]
        predicted = model.imagine(clip.observation, steps, futures, ego=ego)
        still = clip.observation.images[:, -1, VEHICLES][:, None, None].expand_as(truth)
        moving = constant_velocity(clips, clip, seconds, poses)[:, None]
        costs_true = _costs(clip, ego, ahead, predicted, truth, clips.scene.dt_s * frames)
        for name, images in (
            ("world-model", predicted.vehicles),
            ("copy-last", still),
            ("constant-velocity", moving),
        ):
            error = (images - truth).square().mean((-2, -1))
            shared = overlap(images, truth.expand_as(images))
            cost = _costs(clip, ego, ahead, predicted, images, clips.scene.dt_s * frames)
            measured[name]["squared_error"].append(error.mean(1))
            measured[name]["iou"].append(shared.mean(1))
            measured[name]["cost_error"].append((cost - costs_true).abs().mean(1))
            if name == "world-model":
                measured[name]["best_iou"].append(shared.amax(1))
    return [
        {
            "name": name,
            **{
                f"{key}_{horizon:g}s": mean(torch.cat(parts)[:, _step(seconds, horizon)].numpy())
                for key, parts in values.items()
                for horizon in HORIZONS_S
                if horizon <= float(seconds[-1]) + 1e-6
            },
        }
        for name, values in measured.items()
    ]


def _step(seconds: Tensor, horizon_s: float) -> int:
    return int((seconds - horizon_s).abs().argmin())


def _costs(
    clip: Clip, ego: Tensor, ahead: Tensor, predicted: Futures, images: Tensor, step_s: float
) -> Float[Tensor, "batch futures time"]:
    """Proximity and contact along the recorded path, among the given images."""
    futures = Futures(images, predicted.road, predicted.pose, predicted.raster)
    actions = clip.actions[:, ahead - 1]
    rollout = Rollout(ego, actions, clip.previous_action, clip.observation.size_m, futures, step_s)
    return DrivingCost().evaluate(rollout)[1]


def main(
    world_model: Path,
    recordings: tuple[Path, ...],
    json: Path | None = None,
    split: Split = "test",
    split_manifest: Path | None = None,
    clips: int = 512,
    steps: int = 10,
    futures: int = 10,
    seed: int = 0,
) -> None:
    """Compares predicted with true surroundings at 1, 2 and 3 seconds.

    Metrics: squared error of the vehicle channel, soft intersection over union (mean over the
    sampled futures, and the best of them), and the error of the driving cost along the recorded
    path.  Beside the model: the last image kept as it is, and every vehicle at its true present
    velocity.

    Args:
        world_model: run directory of train.world_model.
        recordings: files written by data.generate or data.prepare.
        json: where to write the table; printed either way.
        split: test, or all for recordings that nothing was trained on.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        clips: how many clips, drawn at random.
        steps: model steps to predict.
        futures: samples for each clip.
        seed: of clips and samples.
    """
    if min(clips, steps, futures) < 1:
        raise InputError("--clips, --steps and --futures must be positive")
    check_output(json)
    began = time.monotonic()
    model = load_world_model(world_model)
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    parts = [(one, part_of(one, split, manifest)) for one in load_recordings(recordings)]
    used = [(recording, part) for recording, part in parts if part is not None]
    if not used:
        raise InputError(f"{split_manifest}: nothing of these recordings is in {split}")
    horizon = steps * model.frames_per_step
    pool = Clips(
        [recording for recording, _ in used],
        [part.window for _, part in used],
        model.observation,
        horizon,
        egos=[part.egos for _, part in used],
    )
    pool.require_rate(model.dt_s)
    training = Checkpoint.load(world_model, "world_model").config
    seen = warn_of_seen(world_model.name, training, pool.recordings, [part for _, part in used])
    rows = evaluate(model, pool, steps, clips, futures, seed)
    print(format_table(rows))
    if json is not None:
        write_results(
            json,
            "eval.open_loop",
            {
                "world_model": str(world_model),
                "recordings": [str(path) for path in recordings],
                "recording_hashes": [recording.content_hash for recording in pool.recordings],
                "split_manifest": None if manifest is None else manifest.digest,
                "seen_in_training": seen,
                "split": split, "clips": clips, "futures": futures, "seed": seed,
                "seconds": round(time.monotonic() - began, 1),
            },
            rows,
        )  # fmt: skip


if __name__ == "__main__":
    run(main)
