"""data.prepare as a command: outputs whole or absent, one-line errors, nothing done twice."""

import gzip
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from data.prepare import main
from data.sources import SOURCES
from data.sources.commonroad import CommonRoad
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError

from ..helpers import Car, straight_recording
from . import tiny
from .sources.test_commonroad import scenario
from .sources.test_ngsim import highway, write


def prepare(*arguments, page: bool = False) -> int:
    """Runs the command here; its exit status."""
    words = [*arguments, *([] if page or "--help" in arguments else ["--no-page"])]
    try:
        run(main, [str(word) for word in words])
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
    assert made.provenance["source"]["name"] == "commonroad"
    assert made.provenance["raw"]["file"] == "one.xml"
    report = json.loads((tmp_path / "out" / "scene.report.json").read_text())
    assert report["recordings"][0]["name"] == made.name == "one"
    assert report["recordings"][0]["report"]["rows_read"] == 15
    assert "15 rows of 1 vehicles" in capsys.readouterr().out
    assert sorted(os.listdir(out.parent)) == ["scene.h5", "scene.report.json"]


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """Names of the raw files that are read, in turn."""
    names, read = [], CommonRoad.read

    def listed(self, path):
        names.append(path.name)
        return read(self, path)

    monkeypatch.setattr(CommonRoad, "read", listed)
    return names


def test_several_raw_files_share_one_file_and_one_report(tmp_path, scenes):
    out = tmp_path / "out" / "both.h5"
    assert prepare("commonroad", *scenes, "--out", out) == 0
    assert [recording.name for recording in load_recordings([out])] == ["one", "two"]
    report = json.loads((tmp_path / "out" / "both.report.json").read_text())
    assert [entry["raw"]["file"] for entry in report["recordings"]] == ["one.xml", "two.xml.gz"]
    assert sorted(os.listdir(out.parent)) == ["both.h5", "both.report.json"]


def test_only_what_changed_is_read_again(tmp_path, scenes, reads):
    out = tmp_path / "both.h5"
    prepare("commonroad", *scenes, "--out", out)
    scenes[0].write_text(scenario(frames=20))
    assert prepare("commonroad", *scenes, "--out", out) == 0
    assert reads == ["one.xml", "two.xml.gz", "one.xml"]
    assert [recording.rows for recording in load_recordings([out])] == [20, 15]
    # Fewer raw files, or another order: nothing to read, but another file.
    assert prepare("commonroad", scenes[1], "--out", out) == 0
    assert [recording.name for recording in load_recordings([out])] == ["two"]
    assert len(reads) == 3
    assert prepare("commonroad", *scenes[::-1], "--out", out) == 0
    assert [recording.name for recording in load_recordings([out])] == ["two", "one"]
    assert reads[3:] == ["one.xml"]


def test_an_interrupted_command_goes_on(tmp_path, scenes, reads, monkeypatch):
    read = CommonRoad.read

    def interrupted(self, path):
        if path == scenes[1]:
            raise KeyboardInterrupt
        return read(self, path)

    out = tmp_path / "out" / "both.h5"
    with monkeypatch.context() as patch:
        patch.setattr(CommonRoad, "read", interrupted)
        assert prepare("commonroad", *scenes, "--out", out) == 130
    assert not out.exists()
    assert prepare("commonroad", *scenes, "--out", out) == 0
    assert reads == ["one.xml", "two.xml.gz"]
    assert sorted(os.listdir(out.parent)) == ["both.h5", "both.report.json"]


@pytest.mark.parametrize("together", [False, True])
def test_other_code_reads_again(tmp_path, scenes, reads, monkeypatch, together):
    raw, out = scenes[: 1 + together], tmp_path / "scene.h5"
    for expected in (1, 1):
        assert prepare("commonroad", *raw, "--out", out) == 0
        assert len(reads) == expected * len(raw)
    monkeypatch.setattr("data.prepare.code_hash", lambda source: "of other code")
    for expected in (2, 2):
        assert prepare("commonroad", *raw, "--out", out) == 0
        assert len(reads) == expected * len(raw)
    assert load_recordings([out])[0].provenance["code"] == "of other code"


def test_a_bad_file_among_good_ones_spoils_nothing(tmp_path, scenes, capsys):
    out = tmp_path / "out" / "both.h5"
    good = scenes[1].read_bytes()
    scenes[1].write_bytes(good[:60])
    assert prepare("commonroad", *scenes, "--out", out) == 2
    assert capsys.readouterr().err.startswith(f"error: {scenes[1]}: not readable as XML")
    assert not out.exists() and not list(out.parent.glob(".*"))
    scenes[1].write_bytes(good)
    prepare("commonroad", *scenes, "--out", out)
    before = out.read_bytes()
    scenes[1].write_bytes(good[:60])
    assert prepare("commonroad", *scenes, "--out", out) == 2
    assert out.read_bytes() == before


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


def hdf5_of_another(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["weights"] = np.arange(3)


@pytest.mark.parametrize(
    "foreign", [hdf5_of_another, lambda path: path.write_text("lap times\n")], ids=["hdf5", "text"]
)
@pytest.mark.parametrize("shape", ["one", "merged", "folder"])
def test_a_file_of_another_program_is_not_replaced(tmp_path, scenes, reads, capsys, foreign, shape):
    out = tmp_path / ("one.h5" if shape == "folder" else "scene.h5")
    foreign(out)
    before = out.read_bytes()
    raw, given = scenes if shape == "merged" else scenes[:1], out
    if shape == "folder":
        given = tmp_path
    assert prepare("commonroad", *raw, "--out", given) == 2
    message = capsys.readouterr().err
    assert message == (
        f"error: {out}: exists and is not a ppuu recording; give another name, or remove it\n"
    )
    assert out.read_bytes() == before and not reads
    with pytest.raises(InputError, match="is not a ppuu recording"):
        straight_recording([Car(0.0, 0, 10.0)], 12).save(out)


def test_an_empty_file_is_filled(tmp_path, scenes):
    (tmp_path / "scene.h5").touch()
    assert prepare("commonroad", scenes[0], "--out", tmp_path / "scene.h5") == 0


BAD = {
    "missing column": (lambda rows: [row[:13] for row in rows], "missing: "),
    "non-number": (lambda rows: [[*rows[0][:5], "x", *rows[0][6:]], *rows[1:]], "line 1, column 6"),
    "negative speed": (
        lambda rows: [*rows[:3], [*rows[3][:11], "-5", *rows[3][12:]], *rows[4:]],
        "line 4, column 'v_Vel': vehicle 1, frame 16: its speed is negative",
    ),
    "duplicate row": (
        lambda rows: [*rows, rows[7]],
        "line 121, column 'Vehicle_ID', column 'Frame_ID': vehicle 1, frame 20: a",
    ),
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
    assert prepare("ngsim", *raws, "--out", tmp_path / "out.h5") == 2
    assert "both give the recording 'trajectories'" in capsys.readouterr().err


def test_an_output_that_is_not_h5_is_refused(tmp_path, scenes, capsys):
    (tmp_path / "file").touch()
    for out in (scenes[1], tmp_path / "file", tmp_path / "other.hdf5"):
        assert prepare("commonroad", scenes[0], "--out", out) == 2
        assert "ends in .h5, or of a folder" in capsys.readouterr().err


def test_help_teaches_every_source(capsys):
    assert prepare("--help") == 0
    text = capsys.readouterr().out
    for name in SOURCES:
        assert f"• {name}" in text
    assert "usage: python -m data.prepare" in text
    assert "RAW [RAW ...]" in text


def test_help_of_a_source_teaches_the_checks(capsys):
    assert prepare("commonroad", "--help") == 0
    text = capsys.readouterr().out
    for option in ("--smoothing", "--no-fill-gaps", "--highest-jerk-mps3", "--shard", "--workers"):
        assert option in text


def test_another_option_of_the_checks_makes_the_file_again(tmp_path, scenes, reads):
    out = tmp_path / "scene.h5"
    prepare("commonroad", scenes[0], "--out", out)
    assert prepare("commonroad", scenes[0], "--out", out, "--shortest-wave-m", "8") == 0
    assert len(reads) == 2
    made = Recording.load(out).provenance
    assert made["clean"]["shortest_wave_m"] == 8.0
    assert list(made["report"]["repaired"]) == ["row smoothed (path)"]
    assert prepare("commonroad", scenes[0], "--out", out, "--shortest-wave-m", "8") == 0
    assert len(reads) == 2


def test_a_bad_option_of_the_checks_is_one_line(tmp_path, scenes, capsys):
    out = tmp_path / "scene.h5"
    assert prepare("commonroad", scenes[0], "--out", out, "--shortest-wave-m", "-1") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "shortest_wave_m is -1; it must be positive" in message


def test_the_page_stands_beside_the_file_and_comes_back(tmp_path, scenes):
    out = tmp_path / "out" / "scene.h5"
    assert prepare("commonroad", scenes[0], "--out", out, page=True) == 0
    names = ["scene.h5", "scene.report.html", "scene.report.json"]
    assert sorted(os.listdir(out.parent)) == names
    before = (out.parent / names[1]).read_bytes()
    (out.parent / names[1]).unlink()
    assert prepare("commonroad", scenes[0], "--out", out, page=True) == 0
    assert (out.parent / names[1]).read_bytes() == before


@pytest.fixture
def many(tmp_path) -> list[Path]:
    """Seven raw files of different length."""
    folder = tmp_path / "many"
    folder.mkdir()
    paths = [folder / f"scene{k}.xml" for k in range(7)]
    for k, path in enumerate(paths):
        path.write_text(scenario(frames=12 + k))
    return paths


def hashes(folder: Path) -> dict[str, str]:
    """Name → content hash, of every file in a folder that holds nothing but whole files."""
    assert {path.suffix for path in folder.iterdir()} == {".h5", ".json"}
    assert not list(folder.glob(".*"))
    return {path.name: Recording.load(path).content_hash for path in folder.glob("*.h5")}


def test_shards_in_any_order_make_what_one_call_makes(tmp_path, many, reads, monkeypatch):
    assert prepare("commonroad", *many, "--out", tmp_path / "one") == 0
    expected = hashes(tmp_path / "one")
    assert list(sorted(expected)) == [f"scene{k}.h5" for k in range(7)]
    out, read = tmp_path / "shards", CommonRoad.read

    def interrupted(self, path):
        if path == many[5]:
            raise KeyboardInterrupt
        return read(self, path)

    reads.clear()
    with monkeypatch.context() as patch:
        patch.setattr(CommonRoad, "read", interrupted)
        assert prepare("commonroad", *many, "--out", out, "--shard", "3/3") == 130
    # The order in which the raw files are named does not matter either.
    for shard in ("3/3", "1/3", "2/3", "1/3", "3/3"):
        assert prepare("commonroad", *many[::-1], "--out", out, "--shard", shard) == 0
    assert hashes(out) == expected
    assert sorted(reads) == [f"scene{k}.xml" for k in range(7)]


def test_more_shards_than_files_leave_some_with_nothing_to_do(tmp_path, many):
    for k in range(1, 10):
        assert prepare("commonroad", *many, "--out", tmp_path / "out", "--shard", f"{k}/9") == 0
    assert len(hashes(tmp_path / "out")) == 7


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "-1/3", "1/0"])
def test_a_shard_that_cannot_be_is_refused(tmp_path, many, capsys, shard):
    assert prepare("commonroad", *many, "--out", tmp_path / "out", f"--shard={shard}") == 2
    assert "give I/N" in capsys.readouterr().err


def test_a_shard_needs_a_folder(tmp_path, many, capsys):
    assert prepare("commonroad", *many, "--out", tmp_path / "all.h5", "--shard", "1/2") == 2
    assert "give --out a folder" in capsys.readouterr().err
    assert prepare("commonroad", many[0], "--out", tmp_path / "all.h5", "--shard", "2/2") == 2
    assert "give --out a folder" in capsys.readouterr().err


def test_raw_files_of_one_name_cannot_share_a_folder(tmp_path, many, capsys):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / many[0].name
    twin.write_bytes(many[0].read_bytes())
    assert prepare("commonroad", *many, twin, "--out", tmp_path / "out") == 2
    assert "would both become" in capsys.readouterr().err


def test_workers_make_what_one_process_makes(tmp_path, many, capsys):
    """And the files that are done stay when a later one is bad."""
    assert prepare("commonroad", *many[:2], "--out", tmp_path / "one") == 0
    many[2].write_text("<")
    capsys.readouterr()
    assert prepare("commonroad", *many[:3], "--out", tmp_path / "two", "--workers", 2) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {many[2]}: not readable as XML")
    assert message.count("\n") == 1
    assert hashes(tmp_path / "two") == hashes(tmp_path / "one")


def test_the_real_windows_of_us101(tmp_path, shared_data):
    """Everything on a lane; three pairs of recorded boxes overlap, two of note."""
    raw = sorted((shared_data / "ngsim-us101-commonroad").glob("*.xml.gz"))
    assert len(raw) == 20
    out = ("--out", tmp_path / "us101.h5")
    assert prepare("commonroad", *raw, *out, "--smoothing", "none") == 0
    for made in load_recordings([tmp_path / "us101.h5"]):
        assert made.provenance["report"]["on_road_share"] > 0.999
        assert np.abs(made.heading_rad).max() < 0.5
        assert 5 <= made.road.lanes <= 6
    entries = json.loads((tmp_path / "us101.report.json").read_text())["recordings"]
    pairs = {tuple(p["vehicles"]): p["depth_m"] for e in entries for p in e["report"]["overlaps"]}
    assert pairs[504, 513] == pytest.approx(0.35, abs=0.005)
    assert pairs[512, 513] == pytest.approx(0.12, abs=0.005)
    assert {pair for pair, depth_m in pairs.items() if depth_m > 0.02} == {(504, 513), (512, 513)}
    assert len(pairs) == 3


@pytest.mark.parametrize(
    "source, write, beside",
    [("csv", tiny.any_csv, "camera.json"), ("highd", tiny.highd, "01_recordingMeta.csv")],
)
def test_a_change_in_a_file_beside_the_raw_one_makes_it_again(
    tmp_path, source, write, beside, capsys
):
    raw, out = write(tmp_path), tmp_path / "made.h5"
    assert prepare(source, raw, "--out", out, "--no-page") == 0
    capsys.readouterr()
    assert prepare(source, raw, "--out", out, "--no-page") == 0
    assert "up to date" in capsys.readouterr().out
    companion = next(tmp_path.glob(beside))
    companion.write_text(companion.read_text() + "\n")
    assert prepare(source, raw, "--out", out, "--no-page") == 0
    assert "up to date" not in capsys.readouterr().out
