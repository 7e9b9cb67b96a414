"""The environments that need no argument: where each one's recording lies, and what makes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ppuu.runtime.errors import InputError
from ppuu.runtime.files import read_json

DATA = "$PPUU_DATA/"
"""A recording that begins so lies where ``PPUU_DATA`` points, by default ``~/.cache/ppuu``."""
SHIPPED = "envs:"
"""A recording that begins so lies in this package."""

_MANIFEST = "manifest.json"
"""Of a corpus, in its folder."""


@dataclass(frozen=True)
class Site:
    """One environment id.

    Attributes:
        id: what ``gymnasium.make`` takes.
        recording: as ``locate`` reads it.
        command: makes the recording.
    """

    id: str
    recording: str
    command: str


def _ngsim(name: str, site: str) -> Site:
    recording = f"{DATA}{site}.h5"
    command = f"python -m data.prepare ngsim trajectories-*.txt --site {site} --out {recording}"
    return Site(f"ppuu/{name}-v1", recording, command)


SITES = (
    _ngsim("I80", "i80"),
    _ngsim("US101", "us101"),
    _ngsim("Lankershim", "lankershim"),
    _ngsim("Peachtree", "peachtree"),
    Site(
        "ppuu/Synthetic-v1",
        f"{SHIPPED}synthetic.h5",
        "python -m data.generate weave --seconds 20 --seed 0 --out envs/synthetic.h5",
    ),
)


def locate(recording: str | Path) -> list[Path]:
    """The files that ``recording`` names.

    A file; a folder, for all recordings in it; a pattern with ``*``; or the manifest of a corpus
    (``python -m data.generate corpus``).  A corpus, by its folder or its manifest, is its training
    recordings; those held out are ``FOLDER/heldout-*.h5``.

    ``$PPUU_DATA/NAME`` and ``envs:NAME`` are resolved on the machine that reads the file, so a
    spec written on another one holds.

    Raises:
        InputError: a site's recording has not been made yet, or there are no recordings.
    """
    path = _resolve(recording)
    if path.is_dir():
        manifest = path / _MANIFEST
        return _training_files(manifest) if manifest.is_file() else _matching(path, "*.h5")
    if "*" in path.name:
        return _matching(path.parent, path.name)
    return _training_files(path) if path.name == _MANIFEST else [path]


def _matching(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError(f"{folder / pattern}: no such file; give a file or folder of recordings")
    return found


def _training_files(manifest: Path) -> list[Path]:
    entries = read_json(manifest).get("recordings", [])
    names = sorted({entry["file"] for entry in entries if entry["split"] == "train"})
    if not names:
        raise InputError(f"{manifest}: lists no training recordings; make the corpus longer")
    return [manifest.parent / name for name in names]


def _resolve(recording: str | Path) -> Path:
    name = str(recording)
    if name.startswith(SHIPPED):
        path = Path(__file__).parents[1] / name.removeprefix(SHIPPED)
    elif name.startswith(DATA):
        root = os.environ.get("PPUU_DATA") or Path.home() / ".cache" / "ppuu"
        path = Path(root) / name.removeprefix(DATA)
    else:
        path = Path(recording)
    site = next((site for site in SITES if site.recording == name), None)
    if site is not None and not path.is_file():
        command = site.command.replace(f"--out {name}", f"--out {path}")
        raise InputError(f"{path}: no such file; {site.id} needs it, make it with: {command}")
    return path
