"""Where a result comes from: the commit of the sources."""

from __future__ import annotations

import subprocess
from pathlib import Path


def source_commit(folder: Path = Path(__file__).parent) -> str:
    """The git commit of the sources, with ``-dirty`` if tracked files differ from it.

    ``unknown`` where git is absent or the sources are not a checkout (an installed wheel, say, even
    if its environment lies inside somebody else's repository).
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder, capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip

    try:
        if not git("ls-files", "."):
            return "unknown"
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
