"""Tables of recorded lanes, pairs and tracks: gzip-compressed CSV with a header."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ppuu.runtime.errors import InputError

DT_S = 0.1
"""From one frame to the next."""


def read_columns(
    path: Path, names: Sequence[str], further: bool = False
) -> dict[str, Float[np.ndarray, " rows"]]:
    """Some columns of a table, by name.

    Args:
        path: a ``.csv.gz``.
        names: columns that must be there.
        further: also the other columns.

    Raises:
        InputError: no such file or column, an entry that is no number, or no rows.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; give the folder or table of real lanes, pairs and tracks"
        )
    try:
        with gzip.open(path, "rt") as file:
            header = file.readline().strip().split(",")
            missing = [name for name in names if name not in header]
            if missing:
                raise InputError(f"{path}: no column {', '.join(missing)}; is it another table?")
            wanted = header if further else list(names)
            use = [header.index(name) for name in wanted]
            columns = np.loadtxt(file, delimiter=",", usecols=use, ndmin=2).T
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged ({error}); copy it again") from None
    if not columns.size:
        raise InputError(f"{path}: it holds no rows")
    return dict(zip(wanted, columns, strict=True))


def runs(*keys: Float[np.ndarray, " rows"]) -> list[slice]:
    """Stretches of rows in which every key stays the same."""
    changes = np.any([np.diff(key) != 0 for key in keys], axis=0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return [slice(a, b) for a, b in zip(starts, np.append(starts[1:], len(keys[0])), strict=True)]


def stretches(time_s: Float[np.ndarray, " rows"], *keys: Float[np.ndarray, " rows"]) -> list[slice]:
    """Stretches of rows in which every key stays the same and no frame is missing."""
    gaps_before = np.cumsum(np.diff(time_s, prepend=time_s[0]) > 1.5 * DT_S)
    return runs(*keys, gaps_before)
