"""Atomic writes, JSON files, and early checks of output paths."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError

_TOKEN_BYTES = 8
_ORPHAN_AGE_S = 24 * 3600.0
"""A temporary file that nobody has written to for so long has lost its writer."""


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block succeeds.

    The content is on the disk before it gets its name, so that a power failure leaves the old file
    or the new one.  Temporary names are random: process numbers repeat where several containers
    share a disk.  What a killed process left of the same file is removed a day later.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_orphans(path)
    temporary = path.with_name(f".{secrets.token_hex(_TOKEN_BYTES)}.{path.name}")
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        with suppress(OSError):  # not every system lets a folder be opened
            _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_orphans(path: Path) -> None:
    """By age, as no other sign of a live writer holds across the machines that share a disk."""
    token = "[0-9a-f]" * (2 * _TOKEN_BYTES)
    for found in path.parent.glob(f".{token}.{glob.escape(path.name)}"):
        with suppress(OSError):  # another process removed it
            if time.time() - found.stat().st_mtime > _ORPHAN_AGE_S:
                found.unlink()


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
