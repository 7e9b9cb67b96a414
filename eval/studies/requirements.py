"""What a study with several trainings needs, checked before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ppuu.recordings.recording import list_recordings, load_recordings
from ppuu.runtime.errors import InputError


def require_runnable(
    seeds: Sequence[int], recordings: Sequence[Path], test: Sequence[Path]
) -> None:
    """Finds out what would otherwise show after everything has been trained.

    Args:
        seeds: one training each.
        recordings: training data.
        test: held-out data.

    Raises:
        InputError: no seeds or one twice; a recording is missing, or is both trained on and tested
            on.
    """
    words = " ".join(map(str, seeds))
    if not seeds:
        raise InputError("--seeds: name at least one")
    if len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds {words}: one of them twice")
    held_out = {recording.content_hash: recording for recording in load_recordings(test)}
    for stored in list_recordings(recordings):
        known = held_out.get(stored.load().content_hash)
        if known is not None:
            raise InputError(f"--test: {known.name} is among --recordings; judge on another one")
