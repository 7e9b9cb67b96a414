"""Options that choose what all others start from: a named preset, or the file of an earlier run."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import tyro

from .config import from_json, require_choice
from .errors import InputError
from .files import read_json

CONFIG_FILE_NAME = "config.json"
_FACTS = (
    "method", "data", "world_model", "init", "teacher", "value", "start_from", "batches_per_update",
)  # fmt: skip
"""Entries of a run's ``config.json`` beside its configuration: values of other options (a command
wants to be given them again) and what followed from them."""


def enumerated(summaries: Mapping[str, str]) -> Any:
    """tyro's description of an option that takes one of some names.

    Args:
        summaries: a line of the help for each name.
    """
    lines = [f"  {name}: {summary}" for name, summary in summaries.items()]
    return tyro.conf.arg(metavar="NAME", help="\n".join(["one of", *lines, ""]))


class Presets:
    """The options ``--preset NAME`` and ``--config FILE`` of commands with an argument ``config``.

    Args:
        presets: configurations (frozen dataclasses) by name; each describes itself in a line,
            ``summary``.
        option: name of the first option.
        default: the preset without either option.
    """

    def __init__(self, presets: Mapping[str, Any], option: str, default: str):
        self._presets, self._option, self._default = presets, option, default
        summaries = {name: preset.summary for name, preset in presets.items()}
        file = tyro.conf.arg(
            name="config",
            metavar="FILE",
            help=f"{CONFIG_FILE_NAME} of a run, to start from its values instead of a preset's",
        )
        annotations = {
            option: Annotated[str, enumerated(summaries)],
            "config_file": Annotated[Path | None, file],
        }
        defaults = {option: default, "config_file": None}
        self._parameters = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=defaults[name], annotation=annotation
            )
            for name, annotation in annotations.items()
        ]

    def choose(self) -> Callable[..., Any]:
        """A function of the two options alone, that returns the configuration they choose.

        Raises:
            InputError: (the function) no such preset (with the nearest), or no such file.
        """

        def configuration(**options: Any) -> Any:
            name, file = options[self._option], options["config_file"]
            if file is None:
                require_choice(f"--{self._option}", name, self._presets)
                return self._presets[name]
            if name != self._default:
                raise InputError(
                    f"--{self._option} {name} and --config {file} exclude each other; give one"
                )
            return read_config(type(self._presets[self._default]), file)

        return _with_signature(configuration, self._parameters)

    def bind(self, main: Callable, base: Any) -> Callable:
        """The command with the two options, its argument ``config`` starting from ``base``."""

        def command(**options: Any) -> Any:
            del options[self._option], options["config_file"]
            return main(**options)

        hints = typing.get_type_hints(main, include_extras=True)
        parameters = [
            parameter.replace(
                kind=inspect.Parameter.KEYWORD_ONLY,
                annotation=hints[name],
                default=base if name == "config" else parameter.default,
            )
            for name, parameter in inspect.signature(main).parameters.items()
        ]
        command.__doc__ = main.__doc__
        return _with_signature(command, parameters + self._parameters)


def read_config(expected: type, path: Path) -> Any:
    """The configuration in the ``config.json`` of a run.

    Args:
        expected: its type.
        path: of the file.

    Raises:
        InputError: there is no such file, or it holds a configuration of another kind or version.
    """
    if not path.is_file():
        raise InputError(f"--config {path}: no such file; name the {CONFIG_FILE_NAME} of a run")
    values = {key: value for key, value in read_json(path).items() if key not in _FACTS}
    return from_json(expected, values, f"--config {path}")


def _with_signature(function: Callable, parameters: list[inspect.Parameter]) -> Callable:
    """The function as one with these parameters, for callers that inspect it."""
    vars(function).pop("__wrapped__", None)  # a decorator's, and of another signature
    function.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    function.__annotations__ = {one.name: one.annotation for one in parameters}
    return function
