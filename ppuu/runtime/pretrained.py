"""The world model and the policy that come with the package, under the name ``pretrained``.

``pretrained`` may be given wherever a run directory may.  Data and commands of their training are
in ``ppuu/pretrained_runs/README.md``; hashes are checked when a file is read.
"""

from __future__ import annotations

import json
from pathlib import Path

from .errors import InputError
from .files import sha256

NAME = "pretrained"
FOLDER = Path(__file__).parents[1] / "pretrained_runs"
HASHES = FOLDER / "hashes.json"


def is_run(name: str | Path) -> bool:
    """Whether this can be a run: ``pretrained``, or something that exists."""
    return str(name) == NAME or Path(name).exists()


def file_of(kind: str | None) -> Path:
    """The checkpoint of a kind, ``world_model`` or ``policy``.

    Raises:
        InputError: there is none, or it has been changed.
    """
    known = json.loads(HASHES.read_text()) if HASHES.is_file() else {}
    if kind not in known:
        raise InputError(f"{NAME}: this installation has no pretrained {kind or 'model'}")
    path = FOLDER / f"{kind}.pt"
    if not path.is_file() or sha256(path) != known[kind]:
        raise InputError(f"{path}: damaged; install ppuu again")
    return path
