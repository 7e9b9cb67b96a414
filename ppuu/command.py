"""How every command starts: typed arguments from a signature, and one-line errors."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .errors import InputError


def run(main: Callable, argv: list[str] | None = None) -> None:
    """Parses the command line into ``main``'s arguments (tyro) and calls it.

    An ``InputError`` ends the program with its one line and exit status 2; Ctrl-C ends it with
    status 130.
    """
    import tyro

    try:
        tyro.cli(main, args=argv)
    except InputError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        raise SystemExit(130) from None
