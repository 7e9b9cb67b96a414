"""Atomic writes: the old file or the new one, whoever else writes, and no litter."""

import os
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from ppuu.runtime.files import atomic_write

DAY_S = 24 * 3600.0


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists() and temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["a.txt"]


def test_after_an_error_the_old_file_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_the_name_does_not_depend_on_the_process(tmp_path, monkeypatch):
    """Processes of two containers have the same number: two writers in one process stand for it."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    path = tmp_path / "a.txt"
    with atomic_write(path) as one, atomic_write(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"


def test_content_and_name_are_on_the_disk_in_that_order(tmp_path, monkeypatch):
    path, done = tmp_path / "a.txt", []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))

    def synced(descriptor):
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert done == [temporary.name, "rename", tmp_path.name]


KILLED = """
import os, signal, sys
from ppuu.runtime.files import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_a_day_later(tmp_path):
    path = tmp_path / "a[1].txt"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    (orphan,) = tmp_path.iterdir()
    live = tmp_path / orphan.name.replace(orphan.name[1:17], "0" * 16)
    others = [tmp_path / f".{'1' * 16}.b.txt", tmp_path / ".old.a[1].txt", tmp_path / "1.txt"]
    for found in (live, *others):
        found.write_text("of another")
    for found in (orphan, *others):
        os.utime(found, (time.time() - 2 * DAY_S,) * 2)
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
    assert set(tmp_path.iterdir()) == {path, live, *others}


def write_often(path: Path, word: str) -> None:
    for _ in range(30):
        with atomic_write(path) as temporary:
            temporary.write_text(word * 1000)


def test_many_writers_of_one_file_leave_one_of_their_files(tmp_path):
    path = tmp_path / "a.txt"
    writers = [get_context("fork").Process(target=write_often, args=(path, w)) for w in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert path.read_text() in {word * 1000 for word in "abc"}
    assert os.listdir(tmp_path) == ["a.txt"]
