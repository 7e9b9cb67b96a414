"""What is wrong with a command line, in one line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import tyro

# tyro's own way to hear of errors as data.  The module is private: pyproject.toml pins its version.
from tyro import _errors

from .config import nearest, require_choice
from .errors import InputError


class ParseErrors:
    """Raises what tyro refuses as an ``InputError`` instead of drawing a box.

    Args:
        target: whose arguments are parsed.
    """

    def __init__(self, target: Callable):
        self._target = target

    def refuse(self, event: _errors.ParseErrorEvent) -> None:
        """tyro's hook; an event of another kind is left to tyro.

        Raises:
            InputError: one line that names the option, the value and the cure.
        """
        if isinstance(event, _errors.UnrecognizedArgs):
            raise InputError(self._unknown(event.tokens))
        if isinstance(event, _errors.MissingArgs):
            if event.unrecognized_tokens:
                raise InputError(self._unknown(event.unrecognized_tokens))
            names = ", ".join(_usage(missing.arg) for missing in event.missing_arguments)
            raise InputError(f"missing {names}; see --help")
        if isinstance(event, _errors.MissingSubcommand):
            choices = ", ".join(event.subcommand_spec.parser_from_name)
            raise InputError(f"missing one of {choices}; see --help")
        if isinstance(event, _errors.InvalidChoice):
            require_choice(_name(event.argument), event.value, event.choices)
        if isinstance(event, _errors.BadValue):
            raise InputError(f"{_usage(event.argument)}: value missing; see --help")
        if isinstance(event, _errors.InstantiationFailure):
            # A configuration's own refusal says more than tyro's account of it.
            cause = sys.exc_info()[1]
            while cause is not None and not isinstance(cause, InputError):
                cause = cause.__context__
            if cause is not None:
                raise cause from None
            option = "" if event.argument is None else f"{_name(event.argument)}: "
            raise InputError(f"{option}{event.message}; see --help")

    def _unknown(self, words: list[str]) -> str:
        word = next((word for word in words if word.startswith("--")), words[0]).partition("=")[0]
        if not word.startswith("--"):
            return f"unexpected {word}; see --help"
        with warnings.catch_warnings():
            # Deprecated, and the only public way to all of a command's options.
            warnings.simplefilter("ignore", DeprecationWarning)
            actions = tyro.extras.get_parser(self._target)._actions
        known = [option for action in actions for option in action.option_strings]
        return f"unknown option {word}; did you mean {nearest(word, known)}?"


def _name(argument: tyro._arguments.ArgumentDefinition) -> str:
    """As it is written on a command line."""
    names = argument.lowered.name_or_flags
    return str(argument.lowered.metavar) if argument.is_positional() else names[-1]


def _usage(argument: tyro._arguments.ArgumentDefinition) -> str:
    """The same, with the kind of its value."""
    values = "" if argument.is_positional() else f" {argument.lowered.metavar or ''}"
    return f"{_name(argument)}{values}".strip()
