"""The code behind a recording, as a hash: what is made by other code is not up to date."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ppuu.runtime.files import sha256

from .clean import pipeline
from .sources.base import Source

ROOT = Path(__file__).parents[1]
PLUMBING = Path("ppuu") / "runtime"
"""Commands, errors and files: they shape no recording."""
DATA_FILES = (".csv", ".json")


def code_hash(source: type[Source], root: Path = ROOT) -> str:
    """SHA-256 of ``code_files``: paths and contents.

    Args:
        source: the reader.
        root: folder of the sources.
    """
    digest = hashlib.sha256()
    for path in code_files(source, root):
        digest.update(f"{path.relative_to(root).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


@cache
def code_files(source: type[Source], root: Path = ROOT) -> tuple[Path, ...]:
    """The files that shape a reader's recordings.

    The reader, checks and repairs, and whatever of the project they import, with the data files
    beside a module that asks for its ``__file__``; found by reading the sources, so that the list
    cannot go out of date.
    """
    found: set[Path] = set()
    waiting = [_file(root, module) for module in (source.__module__, pipeline.__name__)]
    while waiting:
        path = waiting.pop()
        if path is None or path in found or PLUMBING in path.relative_to(root).parents:
            continue
        found.add(path)
        waiting.extend(_file(root, module) for module in _imported(path, root))
    folders = {path.parent for path in found if "__file__" in path.read_text(encoding="utf-8")}
    beside = (file for folder in folders for file in folder.iterdir())
    return tuple(sorted(found.union(file for file in beside if file.suffix in DATA_FILES)))


def _file(root: Path, module: str) -> Path | None:
    """The file of a module; None if it is none of the project's."""
    path = root.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _imported(path: Path, root: Path) -> Iterator[str]:
    """Full names of what may be a module among the names that a file imports."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)
