"""What all tests share.  Nothing here imports ppuu at the top: --typecheck must come first."""

from __future__ import annotations

import sys

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--typecheck",
        action="store_true",
        help="check the shapes and types in every signature of ppuu (jaxtyping, beartype)",
    )


def pytest_configure(config):
    if config.getoption("--typecheck"):
        from jaxtyping import install_import_hook

        early = sorted(name for name in sys.modules if name.startswith("ppuu."))
        if early:
            raise pytest.UsageError(f"--typecheck: {early[0]} was imported before the tests")
        # An int will do where a float is asked for, as type checkers see it.
        checker = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
        install_import_hook("ppuu", checker)
