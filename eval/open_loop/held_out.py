"""World models and the clips they are judged on."""

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
    """Clips of recordings, and what must be said about them beside a table.

    Attributes:
        clips: all of them.
        identity: recordings, their hashes, split and manifest, for the result file.
        seen: by run, the recordings it has learnt from frames of.
    """

    clips: Clips
    identity: Mapping[str, Any]
    seen: Mapping[str, list[str]]

    def chosen(self, count: int, seed: int) -> Int[Tensor, " clips"]:
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
    """All clips of a split, as the models want to see them.

    Args:
        models: what will be judged.
        runs: run directories by name, to know what they have learnt from.
        recordings: files.
        split, split_manifest: which part of them.
        steps: of the models, that clips must go on for.
        device: where the models are.

    Raises:
        InputError: nothing is in the split, or the models cannot look at the same clips.
    """
    manifest = None if split_manifest is None else SplitManifest.load(split_manifest)
    parts = [(one, part_of(one, split, manifest)) for one in load_recordings(recordings)]
    used = [(recording, part) for recording, part in parts if part is not None]
    if not used:
        raise InputError(f"{split_manifest}: nothing of these recordings is in {split}")
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
    judged = [part for _, part in used]
    identity = {
        "recordings": [str(path) for path in recordings],
        "recording_hashes": [recording.content_hash for recording in clips.recordings],
        "split_manifest": None if manifest is None else manifest.digest,
        "split": split,
    }
    seen = {
        name: warn_of_seen(name, config, clips.recordings, judged)
        for name, config in training.items()
    }
    return HeldOut(clips, identity, seen)


def common_observation(models: Sequence[Predictor]) -> ObservationConfig:
    """What all models can look at: the tracks of those that want any; 24 where none does.

    Raises:
        InputError: they differ in more than that.
    """
    slots = {model.observation.vehicles for model in models} - {0} or {24}
    bare = {(replace(m.observation, vehicles=1), m.frames_per_step, m.dt_s) for m in models}
    if len(slots) > 1 or len(bare) > 1:
        raise InputError(
            "these world models see different histories or step differently; judge them one by "
            f"one: {'; '.join(f'{seen} every {frames} frames' for seen, frames, _ in bare)}"
        )
    return replace(models[0].observation, vehicles=slots.pop())
