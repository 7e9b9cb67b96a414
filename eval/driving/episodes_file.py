"""The file of all episodes beside a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from ppuu.runtime.files import atomic_write

from ..protocols.ppuu_episode import PpuuEpisode
from .episode_row import EpisodeRow


def write_episodes(path: Path, rows: Sequence[EpisodeRow] | Sequence[PpuuEpisode]) -> None:
    """Writes one line an episode, as CSV, atomically.

    Args:
        path: the file.
        rows: at least one, all of one kind.
    """
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
