"""The exception for wrong input: one line that says what is wrong and how to correct it."""

from __future__ import annotations

import math


class InputError(ValueError):
    """A one-line message that names the file or option, the wrong value and the cure.

    Commands print it without a traceback; libraries may catch it as a ``ValueError``.
    """


def require_positive(what: str, **values: float) -> None:
    """Refuses values, such as scales, that are 0, negative, infinite or NaN.

    Args:
        what: the object they belong to.
        values: by name.

    Raises:
        InputError: one of them is; the first is named.
    """
    for name, value in values.items():
        if not 0.0 < value < math.inf:
            raise InputError(f"{what}: {name} {value} must be a number above 0")


def require_not_negative(what: str, **values: float) -> None:
    """Refuses values, such as weights, that are negative, infinite or NaN.

    Args:
        what: the object they belong to.
        values: by name.

    Raises:
        InputError: one of them is; the first is named.
    """
    for name, value in values.items():
        if not 0.0 <= value < math.inf:
            raise InputError(f"{what}: {name} {value} must be a number, and not negative")
