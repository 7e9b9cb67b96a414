"""Checkpoints: all that resuming or evaluating needs, in one file without pickled code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from . import pretrained
from .errors import InputError
from .files import atomic_write

FORMAT = "ppuu-checkpoint"
VERSION = 1
FILE_NAME = "checkpoint.pt"
BEST_FILE_NAME = "best.pt"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a training run.

    Attributes:
        kind: what was trained: ``world_model``, ``policy``, ``value`` or ``cost_model``.
        config: the run's configuration as JSON values (``config.to_json``).
        model: the modules' ``state_dict`` (weights, normaliser, statistics).
        step: updates done.
        training: state of the optimiser, averages and validations; only resuming needs it.
    """

    kind: str
    config: dict[str, Any]
    model: Mapping[str, torch.Tensor]
    step: int
    training: dict[str, Any]

    def save(self, path: str | Path) -> None:
        """Writes the file atomically."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        # Given a path, torch.save would write its name into the file.
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save({"format": FORMAT, "version": VERSION} | values, file)

    @classmethod
    def load(cls, path: str | Path, kind: str | None = None) -> Checkpoint:
        """Reads a checkpoint file, or the one in a run directory, onto the CPU.

        Args:
            path: of either; ``pretrained`` is the one that comes with the package.
            kind: what it must hold, if given.

        Raises:
            InputError: missing, damaged, of another version or another kind.
        """
        path = pretrained.file_of(kind) if str(path) == pretrained.NAME else Path(path)
        if path.is_dir():
            path = path / FILE_NAME
        if not path.is_file():
            raise InputError(f"{path}: no such checkpoint; train one, or name its run directory")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises a different type for each kind of damage
            reason = (str(error).splitlines() or [type(error).__name__])[0][:80]
            raise InputError(f"{path}: not a readable checkpoint ({reason}); train again") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: not a ppuu checkpoint")
        if content.get("version") != VERSION:
            raise InputError(
                f"{path}: checkpoint version {content.get('version')}, this program reads "
                f"{VERSION}; train again or use the matching release"
            )
        actual = content.get("kind")
        if kind is not None and actual != kind:
            raise InputError(f"{path}: holds a {actual}, not a {kind}; name another run directory")
        missing = [key for key in cls.__dataclass_fields__ if key not in content]
        if missing:
            raise InputError(f"{path}: damaged ('{missing[0]}' is missing); train again")
        return cls(**{key: content[key] for key in cls.__dataclass_fields__})

    def restore(self, module: nn.Module, where: str | Path) -> None:
        """Loads the weights into a module.

        Args:
            module: of the kind that was saved.
            where: the run directory, for the message.

        Raises:
            InputError: the weights do not fit the network, that of another release for instance,
                or are not finite.
        """
        for name, value in self.model.items():
            if value.is_floating_point() and not bool(value.isfinite().all()):
                raise InputError(f"{where}: weight {name} is not finite; train again")
        try:
            module.load_state_dict(self.model)
        except RuntimeError as error:
            reason = " ".join(str(error).split()[:16])
            raise InputError(
                f"{where}: the weights do not fit this program's network ({reason} ...); train "
                "again or use the matching release"
            ) from None
