"""data.prepare as a command: outputs whole or absent, one-line errors, nothing done twice."""

import gzip
import json
import os
from pathlib import Path

import pytest

from data.prepare import main
from data.sources import SOURCES
from ppuu.command import run
from ppuu.errors import InputError
from ppuu.recording import Recording

from .test_commonroad import scenario
from .test_ngsim import highway, write


def prepare(*arguments) -> int:
    """Runs the command here; its exit status."""
    try:
        run(main, [str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def scenes(tmp_path) -> list[Path]:
    folder = tmp_path / "raw"
    folder.mkdir()
    paths = [folder / "one.xml", folder / "two.xml.gz"]
    paths[0].write_text(scenario())
    paths[1].write_bytes(gzip.compress(scenario("2018b").encode()))
    return paths


def test_one_raw_file_gives_one_recording_and_its_report(tmp_path, scenes, capsys):
    out = tmp_path / "out" / "scene.h5"
    assert prepare("commonroad", scenes[0], "--out", out) == 0
    made = Recording.load(out)
    assert made.provenance["source"] == "commonroad"
    assert made.provenance["raw"]["file"] == "one.xml"
    report = json.loads((tmp_path / "out" / "scene.report.json").read_text())
    assert report["report"]["rows_read"] == 15
    assert "15 rows of 1 vehicles" in capsys.readouterr().out
    assert sorted(os.listdir(out.parent)) == ["scene.h5", "scene.report.json"]


def test_several_raw_files_need_a_directory(tmp_path, scenes, capsys):
    assert prepare("commonroad", *scenes, "--out", tmp_path / "out.h5") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "out.h5").exists()
    assert prepare("commonroad", *scenes, "--out", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").glob("*.h5")} == {"one.h5", "two.h5"}


def test_what_is_up_to_date_is_not_made_again(tmp_path, scenes, capsys):
    out = tmp_path / "scene.h5"
    prepare("commonroad", scenes[0], "--out", out)
    written = out.stat().st_mtime_ns
    capsys.readouterr()
    assert prepare("commonroad", scenes[0], "--out", out) == 0
    assert "up to date" in capsys.readouterr().out
    assert out.stat().st_mtime_ns == written
    scenes[0].write_text(scenario(frames=20))
    assert prepare("commonroad", scenes[0], "--out", out) == 0
    assert Recording.load(out).rows == 20


def test_a_truncated_output_is_an_error_to_load_and_is_made_again(tmp_path, scenes):
    out = tmp_path / "scene.h5"
    prepare("commonroad", scenes[0], "--out", out)
    out.write_bytes(out.read_bytes()[:-500])
    with pytest.raises(InputError, match="truncated or damaged"):
        Recording.load(out)
    assert prepare("commonroad", scenes[0], "--out", out) == 0
    assert Recording.load(out).rows == 15


BAD = {
    "missing column": (lambda rows: [row[:13] for row in rows], "missing: lane"),
    "non-number": (lambda rows: [[*rows[0][:5], "x", *rows[0][6:]], *rows[1:]], "line 1, column 6"),
    "negative speed": (
        lambda rows: [*rows[:3], [*rows[3][:11], "-5", *rows[3][12:]], *rows[4:]],
        "line 4: vehicle 1, frame 16: its speed is negative",
    ),
    "duplicate row": (lambda rows: [*rows, rows[7]], "line 121: vehicle 1, frame 20: a second row"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, capsys, fault):
    spoil, words = BAD[fault]
    raw, out = tmp_path / "bad.txt", tmp_path / "out" / "bad.h5"
    write(raw, spoil(highway()))
    assert prepare("ngsim", raw, "--out", out) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert message.startswith("error: ")
    assert words in message
    assert str(raw) in message
    assert sorted(os.listdir(tmp_path)) == ["bad.txt"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["ngsim", "nowhere.txt", "--out", "a.h5"], "nowhere.txt: no such file"),
        (["ngsim", "--out", "a.h5"], "no raw file given"),
    ],
)
def test_a_missing_file_is_named(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert prepare(*arguments) == 2
    assert words in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


def test_two_recordings_of_one_name_are_refused(tmp_path, capsys):
    for period in ("a", "b"):
        (tmp_path / period).mkdir()
        write(tmp_path / period / "trajectories.txt", highway())
    raws = [tmp_path / period / "trajectories.txt" for period in ("a", "b")]
    assert prepare("ngsim", *raws, "--out", tmp_path / "out") == 2
    assert "same name" in capsys.readouterr().err


def test_an_output_that_is_a_file_but_not_h5_is_refused(tmp_path, scenes, capsys):
    assert prepare("commonroad", scenes[0], "--out", scenes[1]) == 2
    assert ".h5" in capsys.readouterr().err


def test_help_teaches_every_source(capsys):
    assert prepare("--help") == 0
    text = capsys.readouterr().out
    for name in SOURCES:
        assert f"{name}: " in text
