"""A step of a study: one command, the files it reads and the files it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Value = str | int | float | Path | None | tuple[str | Path, ...]
"""Of an option; ``None`` leaves the option out, so that the command's default holds."""


@dataclass(frozen=True, eq=False)
class Step:
    """One command of a study.

    Attributes:
        name: unique in its study; names the log, so it must be fit for a file.
        module: the command, as after ``python -m``.
        options: by name in Python's spelling, such as ``loop.seed``; a path among them is
            compared by its last part and by the content of ``inputs``, so a study can be moved.
        inputs: files the command reads; the step runs after the steps that make them, and again
            whenever their content changes.
        products: files the command leaves, the main one first.
        arguments: positional ones, before the options.
        run_directory: of a training, which its recipe resumes. It is refused with other options,
            and kept when the code changes: it holds the longest work.
        takes_device: whether the command has the option ``--device``.
    """

    name: str
    module: str
    options: Mapping[str, Value]
    inputs: tuple[Path, ...]
    products: tuple[Path, ...]
    arguments: tuple[str | Path, ...] = ()
    run_directory: Path | None = None
    takes_device: bool = False

    def command(self, device: str | None = None) -> list[str]:
        """The words after ``python``.

        Args:
            device: for commands that take one; the command's own default if not given.
        """
        words = ["-m", self.module, *map(str, self.arguments)]
        for name, value in self.options.items():
            if value is not None:
                values = value if isinstance(value, tuple) else (value,)
                words += [f"--{name.replace('_', '-')}", *map(str, values)]
        if self.takes_device and device is not None:
            words += ["--device", device]
        return words

    def settings(self) -> dict[str, Any]:
        """Arguments and options as JSON values, to be compared; a path is ``{"path": NAME}``."""
        given = {"": self.arguments} if self.arguments else {}
        options = {key: value for key, value in self.options.items() if value is not None}
        return {key: _comparable(value) for key, value in (given | options).items()}


def _comparable(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_comparable(one) for one in value]
    return {"path": value.name} if isinstance(value, Path) else value
