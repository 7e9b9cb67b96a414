"""Readers of data sets, one a source: from a raw file to raw tracks."""

from __future__ import annotations

from pathlib import Path

from ppuu.recordings.recording import Recording

from .. import clean
from .base import Source
from .commonroad import CommonRoad
from .dlr import DlrHighway, DlrUrban
from .generic import GenericCsv
from .highd import HighD
from .i24 import I24Motion
from .interaction import Interaction
from .levelx import LevelX
from .ngsim import Ngsim
from .tgsim import Tgsim

SOURCES: dict[str, type[Source]] = {
    "ngsim": Ngsim,
    "dlr-highway": DlrHighway,
    "dlr-urban": DlrUrban,
    "commonroad": CommonRoad,
    "tgsim": Tgsim,
    "i24": I24Motion,
    "highd": HighD,
    "levelx": LevelX,
    "interaction": Interaction,
    "csv": GenericCsv,
}
"""Name on the command line → reader; its fields are the command's options."""


def read_recordings(
    source: Source, path: Path, config: clean.CleanConfig = clean.CleanConfig()
) -> list[Recording]:
    """Reads, checks and repairs every recording of a raw file.

    Raises:
        InputError: see ``Source.read`` and ``clean.recording``.
    """
    return [clean.recording(raw, config) for raw in source.read(path)]
