"""From recordings to the clips of each update: the same for every recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from data.clips.clips import Clip, Clips, clip_frame_ranges
from data.clips.events import EventWeights, clip_weights
from data.clips.sampler import ClipSampler
from data.splits import Part, Split, SplitManifest, data_identity, part_of
from ppuu.perception.observation import Normalizer, ObservationConfig
from ppuu.recordings.recording import (
    Recording,
    StoredRecording,
    list_recordings,
    require_one_frame_rate,
)
from ppuu.runtime.errors import InputError

VISIT_BATCHES = 500
"""Batches, on average, for which recordings stay in memory where not all may at once."""

_NORMALIZER_CLIPS = 512


@dataclass(frozen=True)
class ClipSource:
    """The recordings to train on.

    Attributes:
        paths: files of recordings.
        split: which part of each to train on.
        manifest: file that defines the split (default: by time).
        resident: recordings in memory at a time; all of them if not given.
    """

    paths: tuple[Path, ...]
    split: Split
    manifest: Path | None = None
    resident: int | None = None

    def __post_init__(self):
        if self.resident is not None and self.resident < 1:
            raise InputError(f"--resident-recordings {self.resident}: must be positive")


class _Member(NamedTuple):
    """A recording that has clips, while it is not in memory."""

    stored: StoredRecording
    content_hash: str
    part: Part
    clips: int


class _Visit(NamedTuple):
    """The batches ``first <= number < last`` come from one group of recordings."""

    first: int
    last: int
    clips: Clips
    sampler: ClipSampler


Selection = tuple[Clips, Int[Tensor, " batch"]]
"""Clips in memory, and the indices of those in a batch."""


def drawn(selection: Selection, generator: torch.Generator) -> Clip:
    """The clips of a batch, drawn; the generator is not used."""
    clips, index = selection
    return clips.batch(index)


class ClipStream:
    """Which clips each batch holds: a function of the batch's number, so resuming is exact.

    Batches are numbered across all ranks (``train.engine.loop``), which therefore share the stream.

    Where only some recordings may be in memory, groups of them take turns.  A round visits every
    recording once, in randomly drawn groups, each for a number of batches in proportion to its
    clips, which are drawn without replacement.  At the start every recording is read once,
    to identify it and to count its clips, one in memory at a time.

    Args:
        source: the recordings and their split.
        config: the history.
        horizon: frames after the present.
        batch: clips a batch, on each rank.
        balance: relative frequency of clips with rare events.
        seed: of all orders.
        device: where the tracks live and images are drawn.

    Attributes:
        batch: clips a batch.
        identity: the training data, as part of a run's identity.

    Raises:
        InputError: a file is missing or damaged, the split is empty, or no track is long enough.
    """

    identity: dict[str, Any]

    def __init__(
        self,
        source: ClipSource,
        config: ObservationConfig,
        horizon: int,
        batch: int,
        balance: EventWeights,
        seed: int,
        device: torch.device,
    ):
        self._config, self._horizon, self._device = config, horizon, device
        self.batch, self._balance, self._seed = batch, balance, seed
        self._source = source
        self._manifest = None if source.manifest is None else SplitManifest.load(source.manifest)
        found = list_recordings(source.paths)
        require_one_frame_rate(found)
        self._resident = min(source.resident or len(found), len(found))
        self._loaded: dict[StoredRecording, Recording] = {}
        read = [self._read(stored, keep=self._resident == len(found)) for stored in found]
        members = [member for member in read if member is not None]
        if not members:
            raise InputError(f"{source.manifest}: nothing of these recordings is in {source.split}")
        # Recordings without clips stay if there is nothing else, so that Clips can say why.
        self._members = [member for member in members if member.clips] or members[:1]
        self._visit: _Visit | None = None
        self.identity = {
            "split": source.split,
            "manifest": None if self._manifest is None else self._manifest.digest,
            "recordings": data_identity((member.content_hash, member.part) for member in members),
            "resident_recordings": source.resident,
        }

    def _read(self, stored: StoredRecording, keep: bool) -> _Member | None:
        """Identifies a recording and counts its clips; None if the split may use nothing of it."""
        recording = stored.load()
        part = part_of(recording, self._source.split, self._manifest)
        if part is None:
            return None
        if keep:
            self._loaded[stored] = recording
        span = self._config.span
        _, count = clip_frame_ranges(recording, part.window, part.egos, span, self._horizon)
        return _Member(stored, recording.content_hash, part, int(count.sum()))

    def at(self, number: int) -> Selection:
        """The clips in memory at a batch, and which of them it holds."""
        visit = self._visit
        if visit is None or not visit.first <= number < visit.last:
            visit = self._visit = None  # frees the memory of the last group before the next comes
            visit = self._visit = self._enter(number)
        return visit.clips, visit.sampler.batch_at(number - visit.first)

    def sample(self, count: int) -> tuple[Clips, Int[Tensor, " count"]]:
        """Clips of the first visit, drawn evenly: for statistics of the data."""
        clips, _ = self.at(0)
        return clips, ClipSampler(len(clips), count, self._seed).batch_at(0)

    def held_out(self) -> ClipStream:
        """Clips of the validation split of the same recordings.

        Raises:
            InputError: the stream is not of the training split, which alone leaves it untouched.
        """
        if self._source.split != "train":
            raise InputError(
                f"--loop.validate-every: --split {self._source.split} leaves nothing to validate "
                "on; choose --split train"
            )
        return ClipStream(
            replace(self._source, split="val"), self._config, self._horizon, self.batch,
            self._balance, self._seed, self._device,
        )  # fmt: skip

    def fit(self, normalizer: Normalizer) -> None:
        """Gives a normaliser the statistics of the data."""
        clips, index = self.sample(_NORMALIZER_CLIPS)
        batch = clips.batch(index)
        normalizer.fit(batch.actions.flatten(0, 1), batch.observation.ego_features)

    def _enter(self, number: int) -> _Visit:
        """Finds the group that a batch comes from, and loads it."""
        if self._resident >= len(self._members):
            return self._load(0, 2**63, range(len(self._members)), self._seed)
        total = sum(member.clips for member in self._members)
        groups = -(-len(self._members) // self._resident)
        first = turn = 0
        while True:
            random = np.random.default_rng([self._seed % 2**64, turn])
            order = random.permutation(len(self._members))
            for start in range(0, len(order), self._resident):
                chosen = order[start : start + self._resident]
                share = sum(self._members[number].clips for number in chosen) / total
                last = first + max(1, round(VISIT_BATCHES * groups * share))
                seed = int(random.integers(2**63))
                if number < last:
                    return self._load(first, last, sorted(chosen), seed)
                first = last
            turn += 1

    def _load(self, first: int, last: int, numbers, seed: int) -> _Visit:
        members = [self._members[number] for number in numbers]
        clips = Clips(
            [self._loaded.get(member.stored) or member.stored.load() for member in members],
            [member.part.window for member in members],
            self._config,
            self._horizon,
            self._device,
            [member.part.egos for member in members],
        )
        weights = clip_weights(clips, self._balance)
        return _Visit(
            first, last, clips, ClipSampler(len(clips), self.batch, seed, weights=weights)
        )
