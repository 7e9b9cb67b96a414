"""What shapes a recording changes the hash; what does not leaves it alone."""

import shutil
import sys
from pathlib import Path

import pytest

from data.code_hash import PLUMBING, ROOT, code_files, code_hash
from data.sources import SOURCES, read_recordings

from .tiny import WRITERS


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """A copy of them, to be edited."""
    folder, skip = tmp_path_factory.mktemp("sources"), shutil.ignore_patterns("__pycache__")
    for name in ("data", "ppuu"):
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    return folder


def hash_after_an_edit(root: Path, name: str) -> str:
    path = root / name
    before = path.read_text()
    path.write_text(before + "\n# another line\n")
    code_files.cache_clear()
    try:
        return code_hash(SOURCES["ngsim"], root)
    finally:
        path.write_text(before)


@pytest.mark.parametrize(
    "name",
    [
        *("data/clean/pipeline.py", "data/clean/motion.py", "data/clean/tracks.py"),
        *("data/roads/from_tracks.py", "data/roads/strips.py", "data/roads/us101.csv"),
        *("data/sources/ngsim.py", "data/sources/table.py", "data/sources/ngsim_sites.py"),
        *("data/raw_tracks.py", "ppuu/kinematics.py", "ppuu/recordings/recording.py"),
        *("ppuu/backends/kinematics_cpu.py", "ppuu/units.py"),
    ],
)
def test_what_shapes_a_recording_changes_the_hash(sources, name):
    before = code_hash(SOURCES["ngsim"])
    assert code_hash(SOURCES["ngsim"], sources) == before
    assert hash_after_an_edit(sources, name) != before


@pytest.mark.parametrize(
    "name",
    [
        *("data/prepare.py", "data/generate.py", "data/sources/highd.py", "data/traffic/fleet.py"),
        *("data/clean/html_report.py", "data/clean/plots.py", "data/clips/clips.py"),
        *("ppuu/driving/drivers_i80.csv", "ppuu/runtime/errors.py", "ppuu/costs/base.py"),
    ],
)
def test_what_does_not_shape_it_leaves_the_hash(sources, name):
    assert hash_after_an_edit(sources, name) == code_hash(SOURCES["ngsim"])


@pytest.mark.parametrize("name", SOURCES)
def test_no_other_code_runs_while_a_file_is_read(tmp_path, name):
    path, ran = WRITERS[name](tmp_path), set()
    sys.setprofile(lambda frame, event, argument: ran.add(frame.f_code.co_filename))
    try:
        read_recordings(SOURCES[name](), path)
    finally:
        sys.setprofile(None)
    # A virtual environment may lie inside the checkout; its files are not ours.
    folders = [ROOT / name for name in ("data", "envs", "eval", "ppuu", "tests", "train")]
    own = {Path(file) for file in ran if any(Path(file).is_relative_to(one) for one in folders)}
    own = {file.relative_to(ROOT) for file in own if file.suffix == ".py"}
    files = {file.relative_to(ROOT) for file in code_files(SOURCES[name])}
    beyond = {file for file in own - files if PLUMBING not in file.parents}
    # The package of the readers does no more than to hand each one's tracks to the checks.
    assert beyond <= {Path("data/sources/__init__.py"), Path(__file__).relative_to(ROOT)}
    assert len(own) > 5
