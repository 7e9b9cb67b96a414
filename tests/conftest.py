"""What all tests share.  Nothing here imports ppuu at the top: --typecheck must come first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

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


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings for development; the test is skipped where there is none."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("PPUU_SHARED_DATA") or default).resolve()
    if not folder.is_dir():
        pytest.skip("no real recordings here; set PPUU_SHARED_DATA to their folder")
    return folder
