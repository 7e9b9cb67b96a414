"""The terms of the driving cost, one a file; a file that is added here is a term that counts.

A file ``some_name.py`` holds the class ``SomeName``; planners, policies, metrics and the command
line find it by that name.
"""

from __future__ import annotations

import importlib
import pkgutil

from ..base import Term


def _term(name: str) -> type[Term]:
    module = importlib.import_module(f"{__name__}.{name}")
    return getattr(module, "".join(part.capitalize() for part in name.split("_")))


TERMS: dict[str, type[Term]] = {
    module.name: _term(module.name) for module in pkgutil.iter_modules(__path__)
}
"""By name, in alphabetical order."""
