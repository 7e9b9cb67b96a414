"""A machine that lacks something gets one line that says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from ppuu.runtime.errors import InputError
from ppuu.runtime.packages import import_opencv
from ppuu.runtime.provenance import source_commit


class Broken:
    """An import finder whose cv2 fails with the dynamic linker's message."""

    def __init__(self, message):
        self.message = message

    def find_spec(self, name, path=None, target=None):
        if name == "cv2":
            raise ImportError(self.message)


@pytest.fixture
def break_opencv(monkeypatch):
    def install(message):
        monkeypatch.delitem(sys.modules, "cv2", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Broken(message), *sys.meta_path])

    return install


@pytest.mark.parametrize(
    "library, package",
    [
        ("libGL.so.1", "libgl1"),
        ("libgthread-2.0.so.0", "libglib2.0-0"),
        ("libSM.so.6", "libsm6"),
        ("libXext.so.6", "libxext6"),
        ("libXrender.so.1", "libxrender1"),
    ],
)
def test_a_missing_system_library_is_named_with_its_package(break_opencv, library, package):
    break_opencv(f"{library}: cannot open shared object file: No such file or directory")
    with pytest.raises(InputError) as caught:
        import_opencv()
    message = str(caught.value)
    assert library in message
    assert f"apt install {package};" in message
    assert "opencv-python-headless" in message
    assert "\n" not in message


def test_an_unknown_system_library_is_still_named(break_opencv):
    break_opencv("libodd-2.1.so.3: cannot open shared object file: No such file or directory")
    with pytest.raises(InputError, match=r"libodd-2\.1\.so\.3"):
        import_opencv()


def test_opencv_that_is_not_installed(break_opencv):
    break_opencv("No module named 'cv2'")
    with pytest.raises(InputError, match="pip install opencv-python"):
        import_opencv()


def test_opencv_as_it_is():
    assert hasattr(import_opencv(), "imencode")


def git(folder, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_tells_clean_from_dirty_and_foreign(tmp_path):
    git(tmp_path, "init")
    foreign = tmp_path / "site-packages"
    foreign.mkdir()
    assert source_commit(tmp_path) == "unknown"
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = source_commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "file").write_text("two")
    assert source_commit(tmp_path) == f"{clean}-dirty"
    assert source_commit(foreign) == "unknown"


def test_the_commit_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_commit() == "unknown"


def test_importing_the_library_leaves_the_environment_alone():
    """A host program's threads are its own business; only the commands set how theirs wait."""
    code = "import os, {}; print(os.environ.get('GOMP_SPINCOUNT'))"
    for package, set_to in (("ppuu.kinematics", "None"), ("envs", "None"), ("eval", "20000")):
        environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
        found = subprocess.run(
            [sys.executable, "-c", code.format(package)],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        assert found.stdout.strip() == set_to, package
