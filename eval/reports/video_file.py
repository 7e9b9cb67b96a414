"""Video files, written picture by picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from envs.gym.render import FRAMES_PER_SECOND
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write
from ppuu.runtime.packages import import_opencv

Picture = UInt8[np.ndarray, "rows columns 3"]

_GIF = ".gif"
_CODECS = {".mp4": "mp4v", ".webm": "VP80"}
"""By the file's ending; browsers play WebM."""

ENDINGS = (*_CODECS, _GIF)
"""Of the files that can be written."""


class VideoWriter(ABC):
    """Takes pictures, all of one size.

    Attributes:
        pictures: how many it has taken.
    """

    pictures: int = 0

    def write(self, picture: Picture) -> None:
        """Appends a picture.

        Raises:
            InputError: OpenCV cannot write such files.
        """
        self._append(np.ascontiguousarray(picture[..., ::-1]))
        self.pictures += 1

    @abstractmethod
    def _append(self, picture: Picture) -> None:
        """Appends a picture in OpenCV's order of colours."""

    @abstractmethod
    def finish(self) -> None:
        """Completes the file.

        Raises:
            InputError: OpenCV cannot write such files.
        """


@contextmanager
def video_file(path: Path) -> Iterator[VideoWriter]:
    """A writer of the file, which appears when the context ends without an error.

    Args:
        path: MP4, WebM or GIF, by its ending.

    Raises:
        InputError: OpenCV cannot write such files.
    """
    cv2 = import_opencv()
    kind = _GifWriter if path.suffix.lower() == _GIF else _FilmWriter
    with atomic_write(path) as temporary:
        writer = kind(cv2, temporary, path)
        yield writer
        writer.finish()


def _not_supported(path: Path) -> InputError:
    return InputError(f"{path}: OpenCV cannot write such files here; try another ending")


class _FilmWriter(VideoWriter):
    """MP4 and WebM."""

    def __init__(self, cv2: Any, temporary: Path, path: Path):
        self._cv2, self._temporary, self._path = cv2, temporary, path
        self._writer = cv2.VideoWriter()

    def _append(self, picture: Picture) -> None:
        if not self._writer.isOpened():
            code = self._cv2.VideoWriter_fourcc(*_CODECS[self._path.suffix.lower()])
            size = (picture.shape[1], picture.shape[0])
            if not self._writer.open(str(self._temporary), code, FRAMES_PER_SECOND, size):
                raise _not_supported(self._path)
        self._writer.write(picture)

    def finish(self) -> None:
        self._writer.release()


class _GifWriter(VideoWriter):
    """Animations came to OpenCV with version 4.11, GIF among them with 4.12."""

    def __init__(self, cv2: Any, temporary: Path, path: Path):
        if not hasattr(cv2, "IMWRITE_GIF_QUALITY"):
            raise _not_supported(path)
        self._cv2, self._temporary, self._path = cv2, temporary, path
        self._frames: list[Picture] = []

    def _append(self, picture: Picture) -> None:
        self._frames.append(picture)

    def finish(self) -> None:
        cv2 = self._cv2
        animation = cv2.Animation()
        animation.frames = self._frames
        animation.durations = np.full(len(self._frames), 1000 // FRAMES_PER_SECOND)
        # Dithering makes a film of flat colours five times as large.
        settings = [cv2.IMWRITE_GIF_QUALITY, cv2.IMWRITE_GIF_FAST_NO_DITHER]
        try:
            written = cv2.imwriteanimation(str(self._temporary), animation, settings)
        except cv2.error:
            written = False
        if not written:
            raise _not_supported(self._path)
