"""Devices, threads and seeds."""

from __future__ import annotations

import torch

from .errors import InputError


def choose_device(name: str) -> torch.device:
    """The device of a name: ``auto`` is a GPU if there is one, anything else torch's name.

    Raises:
        InputError: torch knows no such device, or this machine has none.
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
        InputError: negative, or 2^63 and more.
    """
    torch.manual_seed(_seed(seed))


def seeded(seed: int) -> torch.Generator:
    """A separate generator with a seed.

    Raises:
        InputError: as ``seed_everything``.
    """
    return torch.Generator().manual_seed(_seed(seed))


def _seed(seed: int) -> int:
    if not 0 <= seed < 2**63:
        raise InputError(f"seed {seed}: from 0 to below 2^63")
    return seed


def use_threads(count: int) -> None:
    """Sets the number of torch's threads; 0 leaves it as it is.

    Raises:
        InputError: negative.
    """
    if count < 0:
        raise InputError(f"--threads {count}: 0 or more")
    if count:
        torch.set_num_threads(count)
