"""How every command starts: typed arguments from a signature, and one-line errors."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import tyro
from tyro._errors import on_parse_error

from .errors import InputError
from .parse_errors import ParseErrors
from .presets import Presets

_command_line: ContextVar[str | None] = ContextVar("command_line", default=None)


def command_line() -> str | None:
    """The command that is running, as a shell would take it; None outside of ``run``."""
    return _command_line.get()


def run(
    main: Callable,
    argv: Sequence[str] | None = None,
    presets: Mapping[str, Any] | None = None,
    chosen_by: str = "preset",
    default: str = "small",
    subcommand: str = "",
) -> None:
    """Parses the command line into ``main``'s arguments (tyro) and calls it.

    An ``InputError`` ends the program with its one line and exit status 2; Ctrl-C ends it with
    status 130.

    Args:
        main: the command; its signature and docstring are its ``--help``.
        argv: the words after the command's name.
        presets: if given, the command gets two more options, for the values that ``main``'s
            argument ``config`` starts from: ``--preset NAME``, or ``--config FILE`` with the
            ``config.json`` of a run.  Every further option then changes one value of it.
        chosen_by: name of the first of them.
        default: preset without either.
        subcommand: name of the command behind that of the module, if it is one of several.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    module = f"{_module(main)} {subcommand}".rstrip()
    _command_line.set(shlex.join(["python", "-m", *module.split(), *words]))
    try:
        if presets is not None:
            options = Presets(presets, chosen_by, default)
            base = _parse(options.choose(), words, strict=False)()
            main = options.bind(main, base)
        _parse(main, words, prog=f"python -m {module}")()
    except InputError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        raise SystemExit(2) from None
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"error: {name}{error.strerror or error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        raise SystemExit(130) from None


def _parse(
    main: Callable, words: list[str], prog: str = "", strict: bool = True
) -> Callable[[], Any]:
    """``main`` with its arguments.

    Args:
        main: a function with typed arguments.
        words: the command line.
        prog: the command's name in its help.
        strict: refuse further words; without it they are ignored, and so is ``--help``.

    Raises:
        InputError: an option is unknown (it names the nearest known one), missing, or has no value
            that it can take.
    """

    @functools.wraps(main)
    def capture(*arguments: Any, **options: Any) -> Callable[[], Any]:
        return functools.partial(main, *arguments, **options)

    with on_parse_error(ParseErrors(capture).refuse):
        if strict:
            return tyro.cli(capture, prog=prog, args=words)
        return tyro.cli(capture, args=words, add_help=False, return_unknown_args=True)[0]


def _module(main: Callable) -> str:
    """The module to name after ``python -m``; one that is being run is called ``__main__``."""
    if main.__module__ != "__main__":
        return main.__module__.removesuffix(".__main__")
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None else Path(sys.argv[0]).name
