"""Packages that are imported on first use, and what to install where one is missing."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

from .errors import InputError

_DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libxcb.so.1": "libxcb1",
}
"""System libraries that the OpenCV wheel needs and minimal servers lack."""


def import_opencv() -> ModuleType:
    """Imports ``cv2`` when it is first needed.

    Raises:
        InputError: it is not installed, or a system library is missing; says what to install.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        found = re.search(r"\blib[\w.+-]*\.so[\w.]*", str(error))
        if found:
            library = found[0]
            package = _DEBIAN_PACKAGES.get(library)
            cure = f"apt install {package}" if package else f"install what provides {library}"
            raise InputError(
                f"OpenCV needs the system library {library}: {cure}; or use the wheel without it: "
                "pip uninstall -y opencv-python && pip install opencv-python-headless"
            ) from error
        raise InputError(
            f"OpenCV cannot be imported ({error}): pip install opencv-python"
        ) from error


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports a package that only one of the optional extras brings along.

    Raises:
        InputError: it is not installed; says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module.split('.')[0]} cannot be imported ({error}): pip install -e '.[{extra}]'"
        ) from error
