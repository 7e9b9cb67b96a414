"""``run.json``: every start of a run, and its time over all of them."""

import json
import shlex
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from ppuu.runtime import provenance
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.provenance import RunRecord, hardware, source_commit


def content(out):
    return json.loads((out / "run.json").read_text())


def test_a_run_is_recorded_over_its_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "source_commit", lambda: "abc-dirty")
    first = RunRecord(tmp_path)
    first.start({"batch": 4})
    assert content(tmp_path)["updates"] == 0
    first.save(10, 2.5)
    monkeypatch.setattr(provenance, "source_commit", lambda: "def")
    again = RunRecord(tmp_path)
    again.start({"batch": 5}, updates=10)
    assert again.seconds == 2.5
    again.save(20, 4.0)
    found = content(tmp_path)
    assert (found["updates"], found["seconds"], found["config"]) == (20, 4.0, {"batch": 5})
    assert [one["updates"] for one in found["starts"]] == [0, 10]
    assert [(one["commit"], one["clean"]) for one in found["starts"]] == [
        ("abc", False), ("def", True),
    ]  # fmt: skip
    assert found["starts"][0]["hardware"]["numpy"] == hardware()["numpy"]
    assert datetime.fromisoformat(found["starts"][0]["time"]).tzinfo is not None


def test_a_run_that_starts_anew_forgets_the_one_before(tmp_path):
    old = RunRecord(tmp_path)
    old.start({"batch": 4})
    old.save(10, 2.5)
    new = RunRecord(tmp_path)
    new.start({"batch": 4}, updates=0)
    assert new.seconds == 0.0 and len(content(tmp_path)["starts"]) == 1


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: not readable"):
        RunRecord(tmp_path).start({}, updates=3)


def test_the_command_is_recorded_as_given(tmp_path):
    def main(out: Path, names: tuple[str, ...] = ()) -> None:
        """A command.

        Args:
            out: where to.
            names: whom.
        """
        RunRecord(out).start({})

    run(main, ["--out", str(tmp_path), "--names", "a b", "c"])
    words = shlex.split(content(tmp_path)["starts"][0]["command"])
    assert words[:2] == ["python", "-m"]
    assert words[3:] == ["--out", str(tmp_path), "--names", "a b", "c"]


def test_sources_that_differ_from_their_commit(tmp_path):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    assert source_commit(tmp_path) == "unknown"
    git("init")
    (tmp_path / "file.py").write_text("1\n")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "one")
    clean = source_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file.py").write_text("2\n")
    assert source_commit(tmp_path) == clean + "-dirty"
