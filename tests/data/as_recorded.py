"""Recordings whose positions are the file's, to compare a reader with what was written."""

from data import sources
from data.clean import CleanConfig

AS_RECORDED = CleanConfig(smoothing="none")


def read_recordings(source, path):
    return sources.read_recordings(source, path, AS_RECORDED)
