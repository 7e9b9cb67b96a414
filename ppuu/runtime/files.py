"""Atomic writes, JSON files, and early checks of output paths."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


_BLOCK_BYTES = 1 << 20


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); delete it") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no JSON object; is it a file of another kind?")
    return content


def check_output(path: Path | None) -> None:
    """Refuses an output path that cannot be written, before the work and not after it.

    Raises:
        InputError: the path is a directory, or its folder cannot be made.
    """
    if path is None:
        return
    if path.is_dir():
        raise InputError(f"{path}: is a directory; name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: its folder cannot be made ({error.strerror})") from None
