"""``--help``: the usage line is what one types."""

import subprocess
import sys
from pathlib import Path

import pytest

from ppuu.command import run

ROOT = Path(__file__).parents[2]


def main(seed: int = 0) -> None:
    """Does nothing.

    Args:
        seed: of nothing.
    """


def test_the_usage_line_names_the_module(capsys):
    with pytest.raises(SystemExit):
        run(main, ["--help"])
    assert capsys.readouterr().out.startswith(f"usage: python -m {__name__} ")


def test_a_module_that_is_run_is_called_by_its_name():
    done = subprocess.run(
        [sys.executable, "-m", "data.generate", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: python -m data.generate ")
    assert str(ROOT) not in done.stdout
