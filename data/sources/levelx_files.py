"""The three files of a levelXdata recording: tracks, and beside them two of meta data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppuu.runtime.errors import InputError

from .resample import check_rate
from .table import read_named_columns

_TRACKS = "_tracks.csv"
META_HINT = "is it a meta file of this data set?"
"""For the message when a column is missing."""


def beside(path: Path, kind: str) -> Path:
    """The file ``NN_<kind>.csv`` that belongs to ``NN_tracks.csv``.

    Raises:
        InputError: ``path`` is called otherwise, or there is no such file.
    """
    if not path.name.endswith(_TRACKS):
        raise InputError(f"{path}: give the file NN{_TRACKS}; its siblings are found beside it")
    sibling = path.with_name(f"{path.name.removesuffix(_TRACKS)}_{kind}.csv")
    if not sibling.is_file():
        raise InputError(f"{path}: {sibling.name} is missing beside it; put it there")
    return sibling


def recording_meta(path: Path, columns: Mapping[str, str]) -> dict[str, Any]:
    """The named columns of the one row in ``NN_recordingMeta.csv``; ``frameRate`` among them.

    Raises:
        InputError: as ``read_named_columns``, or a frame rate that no camera has.
    """
    table = read_named_columns(path, {"frameRate": "f8", **columns}, META_HINT)
    row = {name: table[name][0].item() for name in table.dtype.names or ()}
    try:
        check_rate(row["frameRate"])
    except InputError as error:
        raise InputError(f"{path}, line 2, column 'frameRate': {error}") from None
    return row


def by_track(
    path: Path,
    meta_path: Path,
    column: str,
    track: np.ndarray,
    meta_track: np.ndarray,
    meta: np.ndarray,
) -> np.ndarray:
    """A column of ``NN_tracksMeta.csv``, spread over the rows of the tracks.

    Args:
        path, meta_path, column: of the number, for the message.
        track: ``(rows,)`` whose row it is.
        meta_track, meta: ``(tracks,)`` number and value in the meta file.

    Raises:
        InputError: a track that the meta file does not have.
    """
    order = np.argsort(meta_track, kind="stable")
    place = np.searchsorted(meta_track[order], track).clip(max=len(order) - 1)
    bad = np.flatnonzero(meta_track[order][place] != track)
    if len(bad):
        raise InputError(
            f"{path}, line {bad[0] + 2}, column '{column}': track {track[bad[0]]} is not in "
            f"{meta_path.name}; "
            "do the two belong together?"
        )
    return meta[order][place]
