"""Terms of the driving cost, one a file.

Every file of this package is a term: ``some_name.py`` defines the class ``SomeName``.  Planners,
policies, metrics and the command line use its name.
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
"""Terms by name, in alphabetical order."""
