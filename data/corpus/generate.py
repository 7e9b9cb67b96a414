"""Generates a corpus, file by file; what is there already is kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppuu.recordings.recording import Recording, save_recordings
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, read_json, sha256

from ..sensors import seen_by
from ..traffic.simulate import record
from .measures import faults, measures
from .ranges import VERSION, draw
from .traffic import traffic_of

Split = Literal["train", "heldout"]

WARM_UP_S = 60.0
"""Simulated before each recording begins (docs/corpus.md says why it is enough)."""

RECORDINGS_IN_A_FILE = 8


@dataclass(frozen=True)
class CorpusFile:
    """Some recordings of a corpus in one HDF5 file, and a JSON file beside it that lists them.

    Attributes:
        path: the HDF5 file.
        split: ``train`` or ``heldout``.
        seed: of the corpus.
        indices: of the recordings.
    """

    path: Path
    split: Split
    seed: int
    indices: tuple[int, ...]

    @property
    def listing(self) -> Path:
        """The JSON file beside it."""
        return self.path.with_suffix(".json")

    def is_complete(self) -> bool:
        """Whether the file is there, undamaged, and holds these recordings and perhaps more."""
        if not (self.path.is_file() and self.listing.is_file()):
            return False
        try:
            listing = read_json(self.listing)
            if listing["version"] != VERSION or listing["seed"] != self.seed:
                return False
            known = {entry["index"]: entry["parameters"] for entry in listing["recordings"]}
        except (InputError, KeyError, TypeError):
            return False
        wanted = all(known.get(index) == draw(self.seed, index) for index in self.indices)
        return wanted and sha256(self.path) == listing["sha256"]


def layout(folder: Path, hours: float, seed: int, held_out: float) -> list[CorpusFile]:
    """The files of a corpus; a longer corpus begins with the recordings of a shorter one.

    Args:
        folder: for the files.
        hours: length of all recordings together, at least.
        seed: of the corpus.
        held_out: fraction of the recordings in the held-out files.
    """
    indices: dict[Split, list[int]] = {"train": [], "heldout": []}
    seconds = 0.0
    for index in itertools.count():
        if seconds >= 3600.0 * hours:
            break
        seconds += draw(seed, index)["seconds"]
        # Every 10th, for example, beginning with the 5th: a small corpus has some, too.
        begins = int((index + 1) * held_out + 0.5) > int(index * held_out + 0.5)
        indices["heldout" if begins else "train"].append(index)
    return [
        CorpusFile(folder / f"{split}-{number:04d}.h5", split, seed, tuple(chosen))
        for split, all_of_it in indices.items()
        for number, chosen in enumerate(_chunks(all_of_it, RECORDINGS_IN_A_FILE))
    ]


def _chunks(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def make(file: CorpusFile) -> bool:
    """Generates and writes a file, unless it is complete; returns whether it was made."""
    if file.is_complete():
        return False
    recordings, entries = [], []
    for index in file.indices:
        recording = generate(file.seed, index, file.split)
        recordings.append(recording)
        entries.append(entry(recording))
    save_recordings(file.path, recordings)
    content = {
        "file": file.path.name,
        "sha256": sha256(file.path),
        "split": file.split,
        "version": VERSION,
        "seed": file.seed,
        "recordings": entries,
    }
    with atomic_write(file.listing) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    return True


def generate(seed: int, index: int, split: Split) -> Recording:
    """One recording of a corpus; it depends on the seed and its index only.

    Args:
        seed: of the corpus.
        index: of the recording.
        split: noted in the provenance.
    """
    parameters = draw(seed, index)
    own_seed = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
    traffic = record(traffic_of(parameters), parameters["seconds"], own_seed, WARM_UP_S)
    recording = seen_by(traffic, parameters["sensor"], own_seed)
    corpus = {
        "version": VERSION,
        "seed": seed,
        "index": index,
        "split": split,
        "parameters": parameters,
        "faults": faults(traffic),
    }
    return replace(
        recording,
        name=f"corpus{seed}-{index:05d}",
        provenance=dict(recording.provenance) | {"corpus": corpus},
    )


def entry(recording: Recording) -> dict[str, Any]:
    """A recording's entry in the manifest."""
    corpus = recording.provenance["corpus"]
    return {
        "name": recording.name,
        "index": corpus["index"],
        "split": corpus["split"],
        "parameters": corpus["parameters"],
        "sha256": recording.content_hash,
        **measures(recording),
        **corpus["faults"],
        **{f"seen_{name}": count for name, count in faults(recording).items()},
    }
