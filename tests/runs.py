"""Run directories of models that were never trained."""

from __future__ import annotations

from pathlib import Path

import torch

from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.world_models import WorldModelConfig


def saved_world_model(directory: Path, config: WorldModelConfig, seed: int = 0) -> Path:
    """A run that holds a freshly initialised world model."""
    torch.manual_seed(seed)
    directory.mkdir()
    Checkpoint("world_model", {"model": to_json(config)}, config.build().state_dict(), 1, {}).save(
        directory / FILE_NAME
    )
    return directory
