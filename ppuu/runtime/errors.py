"""The one exception that means: the input is at fault, and this sentence says how to mend it."""

from __future__ import annotations

import math


class InputError(ValueError):
    """A one-line message naming the file, the offending value and the fix.

    Commands print it without a traceback; libraries may catch it as a ``ValueError``.
    """


def require_positive(what: str, **values: float) -> None:
    """Refuses scales and the like that are 0, negative, infinite or no number.

    Args:
        what: they belong to.
        values: by name.

    Raises:
        InputError: of the first that is.
    """
    for name, value in values.items():
        if not 0.0 < value < math.inf:
            raise InputError(f"{what}: {name} {value} must be a number above 0")


def require_not_negative(what: str, **values: float) -> None:
    """Refuses weights and the like that are negative, infinite or no number.

    Args:
        what: they belong to.
        values: by name.

    Raises:
        InputError: of the first that is.
    """
    for name, value in values.items():
        if not 0.0 <= value < math.inf:
            raise InputError(f"{what}: {name} {value} must be a number, and not negative")
