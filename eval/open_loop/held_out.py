"""The clips that world models are evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from data.clips.clips import Clips
from data.splits import Split, SplitManifest, part_of
from ppuu.perception.observation import ObservationConfig
from ppuu.recordings.recording import load_recordings
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.device import seeded
from ppuu.runtime.errors import InputError
from ppuu.world_models import Predictor

from ..driving.drivers import warn_of_seen


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Clips of a split, and what a results file says about them.

    Attributes:
        clips: all of them.
        identity: recordings, their hashes, split and manifest.
        seen_in_training: by run, the recordings with frames that it was trained on.
    """

    clips: Clips
    identity: Mapping[str, Any]
    seen_in_training: Mapping[str, list[str]]

    def draw(self, count: int, seed: int) -> Int[Tensor, " clips"]:
        """Some clips at random, the same ones for the same seed."""
        order = torch.randperm(len(self.clips), generator=seeded(seed))
        return order[:count]


def held_out(
    models: Sequence[Predictor],
    runs: Mapping[str, Path],
    recordings: Sequence[Path],
    split: Split,
    split_manifest: Path | None,
    steps: int,
    device: torch.device | str = "cpu",
) -> HeldOut:
    """All clips of a split, with the observations of the models.

    Args:
        models: what will be evaluated.
        runs: run directories by name, for the recordings that each was trained on.
        recordings: files.
        split, split_manifest: which part of them.
        steps: of the models, the length of the clips' futures.
        device: where the models are.

    Raises:
        InputError: the split is empty, or the models' observations differ.
    """
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    parts = [(one, part_of(one, split, manifest)) for one in load_recordings(recordings)]
    used = [(recording, part) for recording, part in parts if part is not None]
    if not used:
        raise InputError(
            f"{split_manifest}: assigns none of these recordings to {split}; choose another --split"
        )
    clips = Clips(
        [recording for recording, _ in used],
        [part.window for _, part in used],
        common_observation(models),
        steps * models[0].frames_per_step,
        device,
        egos=[part.egos for _, part in used],
    )
    clips.require_rate(models[0].dt_s)
    training = {name: Checkpoint.load(run, "world_model").config for name, run in runs.items()}
    evaluated = [part for _, part in used]
    identity = {
        "recordings": [str(path) for path in recordings],
        "recording_hashes": [recording.content_hash for recording in clips.recordings],
        "split_manifest": None if manifest is None else manifest.digest,
        "split": split,
    }
    seen_in_training = {
        name: warn_of_seen(name, config, clips.recordings, evaluated)
        for name, config in training.items()
    }
    return HeldOut(clips, identity, seen_in_training)


def common_observation(models: Sequence[Predictor]) -> ObservationConfig:
    """The observation that all models share: with as many tracks as some need, or else 24.

    Raises:
        InputError: they differ in more than the number of tracks.
    """
    slots = {model.observation.vehicles for model in models} - {0} or {24}
    bare = {(replace(m.observation, vehicles=1), m.frames_per_step, m.dt_s) for m in models}
    if len(slots) > 1 or len(bare) > 1:
        raise InputError(
            "--world-model: their observations or steps differ; evaluate them one by one: "
            + "; ".join(f"{config} every {frames} frames" for config, frames, _ in bare)
        )
    return replace(models[0].observation, vehicles=slots.pop())
