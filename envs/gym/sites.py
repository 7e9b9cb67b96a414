"""The environments that need no argument: where each one's recording lies, and what makes it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ppuu.runtime.errors import InputError

DATA = "$PPUU_DATA/"
"""A recording that begins so lies where ``PPUU_DATA`` points, by default ``~/.cache/ppuu``."""
SHIPPED = "envs:"
"""A recording that begins so lies in this package."""


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


def locate(recording: str | Path) -> Path:
    """The file of a recording.

    ``$PPUU_DATA/NAME`` and ``envs:NAME`` are resolved on the machine that reads the file, so a
    spec written on another one holds.

    Raises:
        InputError: a site's recording has not been made yet.
    """
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
