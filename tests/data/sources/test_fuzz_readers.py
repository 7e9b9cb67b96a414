"""Damaged files: every reader gives a valid recording or one line that says what is wrong where."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data import prepare
from data.clean.checks import check_values
from data.raw_tracks import RawTracks
from data.sources import SOURCES, read_recordings
from data.sources.base import Source
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from tests.data.damage import Injury, damages, injured
from tests.data.tiny import WRITERS

FEW, MANY = 30, 500
"""Damaged files a reader."""
MEMORY = 1 << 30
"""Bytes that reading a file of a few kilobytes may take."""
LONGEST_S = 5.0
PLACE = re.compile(r"\bline \d+\b.*\b(column|header)")
WHOLE_FILE = re.compile(
    "empty|holds no|no track of|no lane can be|no row has|no row of|no vehicle travels|"
    "not a text file"
    r"|\.json(\.\w+)*: "
)
"""Faults that no one place in the file has; in a mapping the key is the place."""


@dataclass(frozen=True)
class Sample:
    """A valid file and what lies beside it.

    Attributes:
        source: name of the reader.
        path: the file that it is given.
        files: name → bytes, of all files in the folder.
    """

    source: str
    path: Path
    files: dict[str, bytes]

    @property
    def delimiter(self) -> bytes | None:
        return b"," if self.path.suffix == ".csv" else None

    def restore(self) -> None:
        for name, data in self.files.items():
            (self.path.parent / name).write_bytes(data)

    def targets(self) -> list[str]:
        """The reader's own file as a rule, one of its siblings else."""
        return [self.path.name] * len(self.files) + sorted(self.files)

    def damage(self, name: str, injuries: list[Injury]) -> None:
        self.restore()
        data = injured(self.files[name], injuries, self.delimiter)
        (self.path.parent / name).write_bytes(data)


@pytest.fixture(scope="module", params=SOURCES)
def sample(request, tmp_path_factory) -> Sample:
    name = request.param
    if name not in WRITERS:
        pytest.fail(f"source '{name}' has no tiny file: write one in tests/data/tiny.py")
    folder = tmp_path_factory.mktemp(name)
    path = WRITERS[name](folder)
    return Sample(name, path, {file.name: file.read_bytes() for file in folder.iterdir()})


@pytest.fixture(scope="module", autouse=True)
def little_memory():
    """A reader that asks for more gets a MemoryError, which no test lets pass."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not Linux
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def attempted(sample: Sample, use: Callable[[Source, Path], list]) -> list | str:
    """What comes out, or the message; nothing else may happen, and soon."""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return use(SOURCES[sample.source](), sample.path)
        except InputError as error:
            message = str(error)
            assert str(sample.path.parent) in message, f"names no file: {message}"
            assert PLACE.search(message) or WHOLE_FILE.search(message), f"names no place: {message}"
            assert "\n" not in message and len(message) < 1000, message
            return message
        finally:
            assert time.process_time() - started < LONGEST_S


def checked_tracks(source: Source, path: Path) -> list[RawTracks]:
    """As far as a reader answers for them: what it hands over, and the checks of its values."""
    found = list(source.read(path))
    for tracks in found:
        columns = [value for value in vars(tracks).values() if isinstance(value, np.ndarray)]
        assert len({len(column) for column in columns}) == 1
        check_values(tracks)
    return found


def assert_valid(made: list[Recording]) -> None:
    assert made
    for recording in made:
        assert recording.vehicles and recording.dt_s > 0
        assert recording.rows < 10_000
        for name in ("x_m", "y_m", "heading_rad", "speed_mps", "length_m", "width_m"):
            assert np.isfinite(getattr(recording, name)).all(), name
        assert (recording.speed_mps >= 0).all()
        assert (recording.length_m > 0).all() and (recording.width_m > 0).all()
        assert np.isfinite(recording.road.left_m).all()


def content(tracks: RawTracks) -> dict[str, list]:
    return {key: v.tolist() for key, v in vars(tracks).items() if isinstance(v, np.ndarray)}


def is_tree(name: str) -> bool:
    return name.endswith((".xml", ".json"))


def draw_damage(sample: Sample, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sample.targets()))
    sample.damage(name, data.draw(damages(is_tree(name))))


def thorough(cases: int):
    return settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        # An example is three injuries at most; to shrink it would take minutes.
        phases=[Phase.generate],
    )


def test_the_tiny_file_is_valid(sample):
    sample.restore()
    made = attempted(sample, read_recordings)
    assert not isinstance(made, str), made
    assert_valid(made)
    assert sum(one.vehicles for one in made) >= 2


@given(data=st.data())
@thorough(FEW)
def test_damaged_files_are_read_or_refused(sample, data):
    draw_damage(sample, data)
    attempted(sample, checked_tracks)


@pytest.mark.slow
@given(data=st.data())
@thorough(MANY)
def test_many_damaged_files_are_read_or_refused(sample, data):
    draw_damage(sample, data)
    attempted(sample, checked_tracks)


@given(data=st.data())
@thorough(10)
def test_what_is_read_becomes_a_valid_recording(sample, data):
    draw_damage(sample, data)
    made = attempted(sample, read_recordings)
    if not isinstance(made, str):
        assert_valid(made)


def test_every_bad_field_is_named_by_line_and_column(sample):
    """One field after the other becomes a word; where that is noticed, the place is right."""
    if is_tree(sample.path.name):
        pytest.skip("not a table")
    noticed = 0
    for name, data in sample.files.items():
        if is_tree(name):
            continue
        delimiter = sample.delimiter
        lines = data.decode().split("\n")[:-1]
        row = len(lines) // 2
        fields = lines[row].split(None if delimiter is None else delimiter.decode())
        sample.restore()
        whole = attempted(sample, checked_tracks)
        for column in range(len(fields)):
            damaged = [*fields[:column], "rhubarb", *fields[column + 1 :]]
            text = (delimiter or b" ").decode().join(damaged)
            (sample.path.parent / name).write_text(
                "\n".join([*lines[:row], text, *lines[row + 1 :]]) + "\n"
            )
            made = attempted(sample, checked_tracks)
            if isinstance(made, str):
                noticed += 1
                assert re.search(rf"{re.escape(name)}, line {row + 1}\b", made), made
                assert "column" in made and "rhubarb" in made, made
            else:
                assert list(map(content, made)) == list(map(content, whole)), fields[column]
        sample.restore()
    assert noticed >= 5


def spoilt(sample: Sample, name: str, spoil: Callable[[str], str]) -> list[list[RawTracks] | str]:
    """What comes of a table in whose middle row one field after the other is another."""
    lines = sample.files[name].decode().split("\n")[:-1]
    row = len(lines) // 2
    fields = lines[row].split(",")
    found = []
    for column in range(len(fields)):
        text = ",".join([*fields[:column], spoil(fields[column]), *fields[column + 1 :]])
        (sample.path.parent / name).write_text(
            "\n".join([*lines[:row], text, *lines[row + 1 :]]) + "\n"
        )
        found.append(attempted(sample, checked_tracks))
    sample.restore()
    return found


def test_quotes_and_commas_never_change_a_number(sample):
    """In quotes a field is what it was; with a decimal comma it is refused, unless it is unused."""
    if sample.path.suffix != ".csv":
        pytest.skip("no CSV")
    sample.restore()
    whole = attempted(sample, checked_tracks)
    assert not isinstance(whole, str)
    refused = 0
    for name in [name for name in sample.files if name.endswith(".csv")]:
        for made in spoilt(sample, name, lambda field: f'"{field}"'):
            assert not isinstance(made, str), made
            assert list(map(content, made)) == list(map(content, whole))
        for number in ("1,5", "1,500", "1,000,000", "0,0"):
            for made in spoilt(sample, name, lambda field, number=number: f'"{number}"'):
                if isinstance(made, str):
                    refused += "has a comma" in made
                else:
                    assert list(map(content, made)) == list(map(content, whole))
    assert refused >= 20


@pytest.mark.parametrize("change", ["one more", "one less"])
def test_every_line_has_as_many_fields_as_the_first(sample, change):
    if is_tree(sample.path.name):
        pytest.skip("not a table")
    for name in [name for name in sample.files if not is_tree(name)]:
        sample.restore()
        lines = sample.files[name].decode().split("\n")[:-1]
        row, mark = len(lines) // 2, (sample.delimiter or b" ").decode()
        fields = lines[row].split(None if sample.delimiter is None else mark)
        other = [*fields, "0"] if change == "one more" else fields[:-1]
        text = "\n".join([*lines[:row], mark.join(other), *lines[row + 1 :]]) + "\n"
        (sample.path.parent / name).write_text(text)
        words = f"{name}, line {row + 1}: {len(other)} columns instead of {len(fields)}"
        made = attempted(sample, checked_tracks)
        assert isinstance(made, str) and words in made, made
    sample.restore()


@given(data=st.data())
@thorough(5)
def test_the_command_leaves_whole_files_or_none(sample, data, tmp_path_factory, capfd):
    folder = tmp_path_factory.mktemp("out")
    draw_damage(sample, data)
    out = folder / "made.h5"
    capfd.readouterr()
    status = None
    try:
        run(prepare.main, [sample.source, str(sample.path), "--out", str(out)])
    except SystemExit as stop:
        status = stop.code
    left = {path.name for path in folder.iterdir()}
    if status is None:
        assert_valid(load_recordings([out]))
        assert left == {"made.h5", "made.report.json", "made.report.html"}
    else:
        error = capfd.readouterr().err
        assert status == 2 and not left
        assert error.startswith("error: ") and error.count("\n") == 1, error
