"""From ``--recordings`` and ``--split`` to clips: the same beginning for every recipe."""

from __future__ import annotations

from pathlib import Path

import torch

from data.clips import Clips
from data.splits import Split, window
from ppuu.observation import ObservationConfig
from ppuu.recording import load_recordings


def load_clips(
    paths: tuple[Path, ...],
    split: Split,
    config: ObservationConfig,
    horizon: int,
    device: torch.device,
) -> Clips:
    """Loads recordings and cuts the clips of one split.

    Raises:
        InputError: a file is missing or damaged, or nothing in it is long enough.
    """
    recordings = load_recordings(paths)
    windows = [window(recording, split) for recording in recordings]
    return Clips(recordings, windows, config, horizon, device)


def data_identity(clips: Clips, split: Split) -> dict:
    """What a run learns from, as part of what makes it this run: resuming with other data fails."""
    return {"recordings": [r.content_hash for r in clips.recordings], "split": split}
