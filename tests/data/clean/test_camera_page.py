"""The page for people with a camera of their own: its code runs, its table is complete."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from data.prepare import main
from data.sources import SOURCES
from data.traffic import simulate
from ppuu.recordings.recording import Recording
from ppuu.runtime.command import run

PAGE = Path(__file__).parents[3] / "docs" / "add-your-traffic-camera.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def code() -> dict:
    """What the page's Python defines: the reader, then its tests."""
    names: dict = {"__name__": "page"}
    for block in blocks("python"):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.mark.parametrize("name", ["test_what_was_generated_comes_back", "test_a_bad_line_is_named"])
def test_the_tests_on_the_page_pass(code, tmp_path, name, monkeypatch):
    monkeypatch.setattr(simulate, "_WARM_UP_S", 60.0)
    code[name](tmp_path)


def test_every_test_on_the_page_is_run(code):
    assert sum(name.startswith("test_") for name in code) == 2


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no TOML reader in Python 3.10")
def test_the_mapping_on_the_page_reads_its_table(tmp_path):
    (table,), (mapping,) = blocks("csv"), blocks("toml")
    header, *rows = table.splitlines()
    row = rows[0].split(",")
    # The two rows that are shown, and on at the same speed.
    step_ft = float(rows[1].split(",")[2])
    rows = [",".join(["7", str(k), f"{k * step_ft:.2f}", *row[3:]]) for k in range(50)]
    assert rows[:2] == table.splitlines()[1:]
    path = tmp_path / "crossroads.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    path.with_suffix(".toml").write_text(mapping)
    run(main, ["csv", str(path), "--out", str(tmp_path / "crossroads.h5"), "--smoothing", "none"])
    made = Recording.load(tmp_path / "crossroads.h5")
    np.testing.assert_allclose(made.speed_mps, 22 * 0.44704, atol=1e-4)
    np.testing.assert_allclose(np.diff(made.x_m), 0.1 * 22 * 0.44704, atol=0.01)
    assert made.length_m[0] == pytest.approx(15.1 * 0.3048)


def test_the_table_names_every_source():
    assert set(re.findall(r"^\| `([\w-]+)`", PAGE.read_text(), re.M)) == set(SOURCES)
