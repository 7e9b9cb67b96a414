"""The one shape of every ``--json`` file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ppuu.runtime.files import atomic_write
from ppuu.runtime.provenance import hardware, source_commit

from ..statistics.metric import Metric, Row


def write_results(
    path: str | Path,
    command: str,
    config: Any,
    rows: Sequence[Row],
    comparisons: Sequence[Row] = (),
) -> None:
    """Writes ``{"command", "commit", "config", "hardware", "rows"}``, atomically.

    Args:
        path: the file; its folder is made.
        command: what was run, e.g. ``eval.closed_loop``.
        config: JSON-able settings that produced the rows.
        rows: metrics become ``{"value", "low", "high", "n"}``; what is not finite becomes null.
            Each names the commit that it was measured at, this one unless it says another.
        comparisons: likewise, about two rows each; without any, the file has no such key.
    """
    path = Path(path)
    commit = source_commit()
    report = {
        "command": command,
        "commit": commit,
        "config": config,
        "hardware": hardware(),
        "rows": [dict(row) | {"commit": row.get("commit", commit)} for row in rows],
    }
    if comparisons:
        report["comparisons"] = [dict(row) for row in comparisons]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(_plain(report), indent=2, allow_nan=False) + "\n")


def commits_of(parts: Iterable[Mapping[str, Any]]) -> str:
    """The commits at which the parts of a row were measured."""
    return ", ".join(sorted({part.get("commit", "unknown") for part in parts}))


def _plain(value: Any) -> Any:
    """JSON values only; NaN and infinities, which JSON lacks, as null."""
    if isinstance(value, Metric):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
