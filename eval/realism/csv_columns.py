"""Tables of real lanes, pairs and tracks: gzip-compressed CSV with a header."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ppuu.runtime.errors import InputError


def read_columns(path: Path, names: Sequence[str]) -> Float[np.ndarray, "columns rows"]:
    """Some columns of a table, by name.

    Raises:
        InputError: no such file or column, or an entry that is no number.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; give the folder that holds the tables i80-pairs, i80-lanes and "
            "us101-tracks (.csv.gz)"
        )
    with gzip.open(path, "rt") as file:
        header = file.readline().strip().split(",")
        missing = [name for name in names if name not in header]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}; copy the table again")
        use = [header.index(name) for name in names]
        try:
            return np.loadtxt(file, delimiter=",", usecols=use, ndmin=2).T
        except ValueError as error:
            raise InputError(f"{path}: damaged ({error}); copy it again") from None
