"""Configurations: frozen dataclasses to JSON and back; unknown keys are refused."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import InputError

_TYPE_KEY = "type"


def to_json(config: Any) -> Any:
    """A dataclass as plain JSON values; each dataclass names its type."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        values = {f.name: to_json(getattr(config, f.name)) for f in dataclasses.fields(config)}
        return {_TYPE_KEY: type(config).__name__} | values
    if isinstance(config, tuple | list):
        return [to_json(value) for value in config]
    return config


def from_json(expected: Any, value: Any, where: str = "config") -> Any:
    """Rebuilds a dataclass of the ``expected`` type (or union of types) from ``to_json``.

    Raises:
        InputError: an unknown key (with the nearest known one), a missing one, a type that is not
            expected, or a value of the wrong kind.
    """
    origin, options = typing.get_origin(expected), typing.get_args(expected)
    if origin in (typing.Union, types.UnionType):
        return _one_of(options, value, where)
    if dataclasses.is_dataclass(expected):
        return _dataclass(expected, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise InputError(f"{where}: {value!r} is not a list")
        kinds = (
            [options[0]] * len(value) if len(options) == 2 and options[1] is ... else list(options)
        )
        if len(kinds) != len(value):
            raise InputError(f"{where}: {len(value)} values, {len(kinds)} expected")
        return tuple(
            from_json(kind, item, f"{where}[{i}]")
            for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is typing.Literal:
        if value not in options:
            raise InputError(f"{where}: {value!r} is not one of {', '.join(map(str, options))}")
        return value
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(expected, type) and (
        not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)
    ):
        raise InputError(f"{where}: {value!r} is not of type {expected.__name__}")
    return value


def _one_of(options: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    classes = [o for o in options if isinstance(o, type) and dataclasses.is_dataclass(o)]
    named = {o.__name__: o for o in classes}
    if isinstance(value, dict) and named:
        name = value.get(_TYPE_KEY)
        if name not in named:
            raise InputError(f"{where}: type {name!r} is not one of {', '.join(sorted(named))}")
        return _dataclass(named[name], value, where)
    plain = [o for o in options if o is not type(None) and not dataclasses.is_dataclass(o)]
    if not plain:
        raise InputError(f"{where}: {value!r} is not a {' or '.join(sorted(named))}")
    return from_json(plain[0], value, where)


def _dataclass(expected: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {value!r} is not a {expected.__name__}")
    hints = typing.get_type_hints(expected)
    known = [field.name for field in dataclasses.fields(expected)]
    name = value.get(_TYPE_KEY, expected.__name__)
    if name != expected.__name__:
        raise InputError(f"{where}: type {name!r} where {expected.__name__} is expected")
    for key in value:
        if key != _TYPE_KEY and key not in known:
            hint = f"; did you mean '{nearest(str(key), known)}'?" if known else ""
            raise InputError(f"{where}: unknown key '{key}'{hint}")
    for field in dataclasses.fields(expected):
        no_default = field.default is field.default_factory is dataclasses.MISSING
        if no_default and field.name not in value:
            raise InputError(f"{where}: '{field.name}' is missing")
    return expected(
        **{
            key: from_json(hints[key], item, f"{where}.{key}")
            for key, item in value.items()
            if key != _TYPE_KEY
        }
    )


def summary(config: Any) -> str:
    """A dataclass in a few words: its type and the plain values that differ from its defaults.

    ``CoupledConfig(features=8)`` is ``Coupled (features 8)``.
    """
    name = type(config).__name__.removesuffix("Config")
    changed = [
        f"{field.name} {value}"
        for field in dataclasses.fields(config)
        if not dataclasses.is_dataclass(value := getattr(config, field.name))
        and value != field.default
    ]
    return name + (f" ({', '.join(changed)})" if changed else "")


def with_setting(config: Any, path: str, text: str, where: str) -> Any:
    """A frozen dataclass with one field changed; see ``with_settings``."""
    return with_settings(config, [(path, text)], where)


def with_settings(config: Any, settings: Sequence[tuple[str, str]], where: str) -> Any:
    """A frozen dataclass with fields changed, all at once and in any order.

    Args:
        config: the dataclass.
        settings: name of the field (of a field's field with a dot between), and its new value:
            as JSON, or as plain text.
        where: for messages.

    Raises:
        InputError: no such field (with the nearest), a value of the wrong kind, or values that the
            dataclass refuses.
    """
    known = [field.name for field in dataclasses.fields(config)]
    changes: dict[str, Any] = {}
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, text in settings:
        name, _, rest = path.partition(".")
        if name not in known:
            near = nearest(name, known)
            raise InputError(f"{where}: unknown key '{name}'; did you mean '{near}'?")
        if not rest:
            hint = typing.get_type_hints(type(config))[name]
            changes[name] = from_json(hint, _value(name, text, where), f"{where}: {name}")
        elif dataclasses.is_dataclass(getattr(config, name)):
            parts.setdefault(name, []).append((rest, text))
        else:
            raise InputError(f"{where}: '{name}' has no fields, so no '{rest}'")
    for name, inner in parts.items():
        changes[name] = with_settings(getattr(config, name), inner, where)
    try:
        return dataclasses.replace(config, **changes)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _value(name: str, text: str, where: str) -> Any:
    """JSON, or else the text itself; numbers are finite."""

    def refuse(constant: str):
        raise InputError(f"{where}: {name} {constant} is not a finite number")

    try:
        value = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        refuse(text)
    return value


def require_choice(option: str, name: str, known: Iterable[str]) -> None:
    """Refuses a name that is not among the known ones.

    Raises:
        InputError: it is not; names the nearest known one.
    """
    names = list(known)
    if name not in names:
        raise InputError(
            f"{option} {name}: unknown; did you mean {nearest(name, names)}? There are "
            f"{', '.join(names)}"
        )


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word most similar to ``word``."""
    return difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Which entries of two ``to_json`` trees differ, as ``path: ours instead of theirs``."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            line
            for key in sorted(set(ours) | set(theirs))
            for line in differences(ours.get(key), theirs.get(key), f"{where}.{key}".lstrip("."))
        ]
    return [] if ours == theirs else [f"{where}: {ours} instead of {theirs}"]
