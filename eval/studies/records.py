"""What a step's products were made of, kept beside them: a step is up to date by content."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ppuu.runtime.files import atomic_write, read_json, sha256
from ppuu.runtime.provenance import source_commit

from .steps import Step

_SOURCES = ("ppuu", "data", "envs", "train", "eval")


@dataclass(frozen=True)
class Record:
    """How the products of a step were made.

    Attributes:
        module: the command.
        settings: its options, see ``Step.settings``.
        inputs: name and SHA-256 of each input, in the step's order.
        code: SHA-256 of the sources.
        commit: theirs, for people.
        command: the whole command line, for people.
        seconds: how long the command ran; ``None`` until it has ended well.
    """

    module: str
    settings: Mapping[str, Any]
    inputs: Sequence[Sequence[str]]
    code: str
    commit: str
    command: Sequence[str]
    seconds: float | None = None

    @staticmethod
    def beside(product: Path) -> Path:
        """The hidden file that holds the record of a main product."""
        return product.with_name(f".{product.name}.step.json")

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """The record in a file; ``None`` if there is none.

        Raises:
            InputError: the file is damaged.
        """
        if not path.is_file():
            return None
        found = read_json(path)
        return cls(**{field.name: found.get(field.name) for field in fields(cls)})

    def save(self, path: Path) -> None:
        """Writes the file atomically."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n")


class Fingerprints:
    """SHA-256 of files, each read once until it is forgotten; and the commit of the sources."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}
        self._commit = source_commit()

    def of(self, path: Path) -> str:
        """Of a file's content; empty where there is no file."""
        if path not in self._known:
            if not path.is_file():
                return ""
            self._known[path] = sha256(path)
        return self._known[path]

    def forget(self, paths: Sequence[Path]) -> None:
        """Files that have been written since."""
        for path in paths:
            self._known.pop(path, None)

    def record(self, step: Step, device: str | None) -> Record:
        """Of the step if it were to run now."""
        return Record(
            step.module,
            step.settings(),
            [[path.name, self.of(path)] for path in step.inputs],
            code_version(),
            self._commit,
            ["python", *step.command(device)],
        )


@functools.cache
def code_version(root: Path = Path(__file__).parents[2]) -> str:
    """SHA-256 of all Python sources of this project."""
    digest = hashlib.sha256()
    for folder in _SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def changed_settings(before: Record, now: Record) -> str:
    """The command or the options that differ, in words; empty if none does."""
    if before.module != now.module:
        return f"command {before.module} is now {now.module}"
    names = [*before.settings, *(name for name in now.settings if name not in before.settings)]
    return ", ".join(
        f"{_option(name)} was {_text(before.settings, name)}, is now {_text(now.settings, name)}"
        for name in names
        if before.settings.get(name) != now.settings.get(name)
    )


def changed_inputs(before: Record, now: Record) -> str:
    """The names of inputs whose content differs; empty if none does."""
    then = [tuple(one) for one in before.inputs]
    these = [tuple(one) for one in now.inputs]
    if then == these:
        return ""
    names = dict.fromkeys(name for name, _ in {*these} ^ {*then})
    return ", ".join(sorted(names)) or "their order"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}" if name else "argument"


def _text(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name]) if name in settings else "left out"
