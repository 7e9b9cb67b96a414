"""What the program runs on: optional pieces of the machine, and what to do when one is missing."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path
from types import ModuleType

import torch

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
"""System libraries that the OpenCV wheel expects and bare servers lack."""


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


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU if there is one; anything else is torch's name of a device.

    Raises:
        InputError: torch knows no such device, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name}: {reason}; use auto, cpu or cuda") from None
    if device.type == "meta":
        raise InputError(f"--device {name}: holds no values; use auto, cpu or cuda")
    return device


def seed_everything(seed: int) -> None:
    """Seeds torch's global generator, which initialisation and dropout in training draw from.

    Raises:
        InputError: no number that seeds take.
    """
    torch.manual_seed(_seed(seed))


def seeded(seed: int) -> torch.Generator:
    """A generator of its own.

    Raises:
        InputError: as ``seed_everything``.
    """
    return torch.Generator().manual_seed(_seed(seed))


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**63:
        raise InputError(f"seed {seed}: from 0 to below 2^63")
    return seed


def use_threads(count: int) -> None:
    """Lets torch use so many threads; 0 leaves the number to it.

    Raises:
        InputError: negative.
    """
    if count < 0:
        raise InputError(f"--threads {count}: 0 or more")
    if count:
        torch.set_num_threads(count)
