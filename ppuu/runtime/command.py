"""How every command starts: typed arguments from a signature, and one-line errors."""

from __future__ import annotations

import contextlib
import difflib
import functools
import io
import itertools
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .errors import InputError


def run(
    main: Callable,
    argv: list[str] | None = None,
    presets: Mapping[str, Any] | None = None,
    chosen_by: str = "preset",
) -> None:
    """Parses the command line into ``main``'s arguments (tyro) and calls it.

    An ``InputError`` ends the program with its one line and exit status 2; Ctrl-C ends it with
    status 130.

    Args:
        main: the command; its signature and docstring are its ``--help``.
        argv: the words after the command's name.
        presets: if given, ``--preset NAME`` chooses the default of ``main``'s argument
            ``config``; every further option then changes one value of it.
        chosen_by: the option that does, if it is called otherwise.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        if presets is not None:
            main = functools.partial(main, config=_preset(presets, main, words, chosen_by))
        arguments, options = _parse(main, words)
        main(*arguments, **options)
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


def _parse(main: Callable, words: list[str]) -> tuple[tuple, dict[str, Any]]:
    """The arguments of ``main``.

    Raises:
        InputError: an option is unknown (it names the nearest known one), missing, or has no value.
    """
    import tyro

    signature = main.func if isinstance(main, functools.partial) else main

    @functools.wraps(signature)
    def capture(*arguments, **options):
        return arguments, options

    target = functools.partial(capture, **main.keywords) if main is not signature else capture
    prog = f"python -m {_module(signature)}"
    parsed, unknown = _without_frame(tyro.cli, target, prog=prog, args=words)
    if unknown:
        known = [o for a in tyro.extras.get_parser(target)._actions for o in a.option_strings]
        word = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(word, known, n=1)
        raise InputError(f"unknown option {word}" + (f"; did you mean {near[0]}?" if near else ""))
    return parsed


def _without_frame(cli: Callable, target: Callable, **options: Any) -> tuple[Any, list[str]]:
    """Parses; what is refused is raised as one line, instead of shown in a box of text."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = cli(target, return_unknown_args=True, **options)
    except SystemExit as stopped:
        cause: BaseException | None = stopped
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__context__
        if cause is not None:
            raise cause from None
        if stopped.code:
            raise InputError(f"{_first_part(said.getvalue())}; see --help") from None
        raise
    sys.stderr.write(said.getvalue())
    return parsed


def _first_part(box: str) -> str:
    """What a box of text says above its rule, but for what is indented: that explains."""
    rows = [row.strip("│|╭╮╰╯+") for row in box.splitlines()[1:]]
    above = itertools.takewhile(_says, itertools.dropwhile(lambda row: not _says(row), rows))
    return " ".join(row.strip() for row in above if not row.startswith(8 * " ")).strip(" .")


def _says(row: str) -> bool:
    """Not a rule."""
    return bool(row.strip(" ─-"))


def _module(main: Callable) -> str:
    """The module to name after ``python -m``; one that is being run is called ``__main__``."""
    if main.__module__ != "__main__":
        return main.__module__.removesuffix(".__main__")
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec is not None else Path(sys.argv[0]).name


def _preset(presets: Mapping[str, Any], main: Callable, words: list[str], chosen_by: str) -> Any:
    import inspect

    name = inspect.signature(main).parameters[chosen_by].default
    for position, word in enumerate(words):
        if word == f"--{chosen_by}" and position + 1 < len(words):
            name = words[position + 1]
        elif word.startswith(f"--{chosen_by}="):
            name = word.partition("=")[2]
    if name not in presets:
        raise InputError(f"--{chosen_by} {name}: not one of {', '.join(presets)}")
    return presets[name]
