"""Terms of the driving cost, one per file.

Every file of this package is a term: ``some_name.py`` defines ``SomeName``, a frozen dataclass
derived from ``VehicleTerm``, ``RoadTerm`` or ``PathTerm`` of ``ppuu.costs.base``; its fields are
the parameters.  A new file enters every driving cost under its name, with the default of its
``weight``: in planners, policies, metrics and on the command line (``cost.some_name.weight``).
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
