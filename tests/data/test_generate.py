"""The generator's command and the NGSIM text it writes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from data.generate import main
from data.sources import ngsim_text, read_recordings
from data.sources.ngsim import Ngsim
from data.traffic import PRESETS, generate, simulate
from ppuu.recordings.recording import Recording
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.units import METRES_PER_FOOT

COLUMNS = (
    *("vehicle", "frame", "total", "time", "local_x", "local_y", "global_x", "global_y"),
    *("length", "width", "class", "velocity", "acceleration"),
    *("lane", "preceding", "following", "spacing", "headway"),
)


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(simulate, "_WARM_UP_S", 5.0)


@pytest.fixture
def recording(short_warm_up):
    return generate(PRESETS["dense"], 6.0, seed=0)


@pytest.fixture
def written(recording, tmp_path):
    """The text file, and its columns by name."""
    path = tmp_path / "traffic.txt"
    ngsim_text.write(recording, path)
    table = np.loadtxt(path)
    return path, dict(zip(COLUMNS, table.T, strict=True))


def test_writes_a_recording_and_one_line(tmp_path, capsys):
    out = tmp_path / "new" / "dense.h5"
    main("dense", out=out, seconds=1.0, seed=3)
    recording = Recording.load(out)
    assert recording.name == "dense-v2-seed3"
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    for part in (str(out), f"{recording.vehicles} vehicles", f"{recording.rows} rows", "m/s"):
        assert part in printed


@pytest.mark.parametrize("sensor", ["drone", "ngsim"])
def test_writes_what_a_sensor_sees(tmp_path, sensor):
    files = [tmp_path / f"{name}.h5" for name in ("exact", "seen", "again")]
    main("dense", out=files[0], seconds=4.0, seed=3)
    for file in files[1:]:
        main("dense", out=file, seconds=4.0, seed=3, sensor=sensor)
    exact, seen, _ = (Recording.load(file) for file in files)
    assert files[1].read_bytes() == files[2].read_bytes()
    assert seen.name == f"dense-v2-seed3-{sensor}" and seen.provenance["synthetic"]
    assert seen.provenance["sensor"]["name"] == sensor
    assert "sensor" not in exact.provenance
    assert seen.content_hash != exact.content_hash


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (["dens", "--out", "x.h5"], "did you mean 'dense'?"),
        (["zzz", "--out", "x.h5"], "there are moderate, dense, free-flow"),
        (["dense", "--out", "x.h5", "--seconds", "0"], "seconds is 0.0"),
        (["dense", "--out", "x.h5", "--seconds", "-5"], "seconds is -5.0"),
        (["dense", "--out", "x.h5", "--seed", "-1"], "seed is -1"),
        (["dense", "--out", "."], "is a directory"),
        (["dense", "--out", "x.h5", "--clean.smoothing", "none"], "exact traffic is not cleaned"),
        (
            ["dense", "--out", "x.h5", "--sensor", "ngsim", "--clean.shortest-track-s", "0"],
            "shortest_track_s is 0; it must be positive",
        ),
    ],
)
def test_errors_are_one_line_and_leave_nothing(tmp_path, monkeypatch, capsys, arguments, problem):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        run(main, arguments)
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and problem in message and message.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_unknown_preset_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="unknown"):
        main("", out=tmp_path / "x.h5")


def test_help_lists_every_preset():
    shown = subprocess.run(
        [sys.executable, "-m", "data.generate", "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    words = " ".join(shown.replace("│", " ").split())
    for preset in PRESETS.values():
        assert f"{preset.name}: {preset.summary}" in words


def test_text_has_ngsims_columns(recording, written):
    path, column = written
    lines = path.read_text().splitlines()
    assert len(lines) == recording.rows
    assert all(len(line.split()) == 18 for line in lines[:50])
    whole = ("vehicle", "frame", "total", "time", "class", "lane", "preceding", "following")
    for name in whole:
        np.testing.assert_array_equal(column[name], np.round(column[name]))
    assert column["frame"].min() == 1 and column["lane"].min() >= 1 and column["lane"].max() <= 7
    assert set(np.unique(column["class"])) <= {1, 2, 3}
    np.testing.assert_array_equal(
        column["total"], np.diff(recording.vehicle_pointer)[recording.row_vehicle]
    )
    np.testing.assert_array_equal(column["time"], 100 * recording.frame)


def test_text_is_in_feet_at_the_front_and_to_the_right(recording, written):
    _, column = written
    rounding = 0.6e-3 * METRES_PER_FOOT
    half = 0.5 * recording.length_m[recording.row_vehicle]
    front_x = recording.x_m + half * np.cos(recording.heading_rad)
    front_y = recording.y_m + half * np.sin(recording.heading_rad)
    np.testing.assert_allclose(column["local_y"] * METRES_PER_FOOT, front_x, atol=rounding)
    left_edge = 6 * 3.7
    np.testing.assert_allclose(
        column["local_x"] * METRES_PER_FOOT, left_edge - front_y, atol=rounding
    )
    np.testing.assert_allclose(
        column["velocity"] * METRES_PER_FOOT, recording.speed_mps, atol=rounding
    )
    np.testing.assert_allclose(
        column["length"] * METRES_PER_FOOT,
        recording.length_m[recording.row_vehicle],
        atol=rounding,
    )
    expected = np.minimum((left_edge - recording.y_m) // 3.7 + 1, 7)
    np.testing.assert_array_equal(column["lane"], expected)


def test_text_names_leaders_and_followers(written):
    _, column = written
    place = {
        key: row for row, key in enumerate(zip(column["vehicle"], column["frame"], strict=True))
    }
    led = np.flatnonzero(column["preceding"])
    assert len(led) > 0.8 * len(column["frame"])
    for row in led[:: max(1, len(led) // 300)]:
        leader = place[column["preceding"][row], column["frame"][row]]
        assert column["following"][leader] == column["vehicle"][row]
        assert column["lane"][leader] == column["lane"][row]
        apart = column["local_y"][leader] - column["local_y"][row]
        assert apart > 0
        assert column["spacing"][row] == pytest.approx(apart, abs=2e-3)
        if column["velocity"][row] > 1:
            headway = column["spacing"][row] / column["velocity"][row]
            assert column["headway"][row] == pytest.approx(headway, rel=2e-3)
    first = np.flatnonzero(column["preceding"] == 0)
    assert (column["spacing"][first] == 0).all() and (column["headway"][first] == 0).all()


def test_the_reader_reads_what_was_written(recording, written):
    """Positions survive to the reader's smoothing; speeds follow from them."""
    read = read_recordings(Ngsim(), written[0])[0]
    assert read.vehicles <= recording.vehicles and read.dt_s == recording.dt_s
    index = {number: v for v, number in enumerate(recording.vehicle_id.tolist())}
    for v in range(0, read.vehicles, 7):
        mine = recording.track(index[int(read.vehicle_id[v])])
        theirs = read.track(v)
        if len(mine) != len(theirs):
            continue
        np.testing.assert_allclose(theirs[:, 0], mine[:, 0], atol=0.2)
        np.testing.assert_allclose(theirs[:, 1] + 6 * 3.7, mine[:, 1], atol=0.2)
        np.testing.assert_allclose(theirs[:, 3], mine[:, 3], atol=0.6)


def test_a_file_of_another_program_is_not_replaced(tmp_path, capsys):
    out = tmp_path / "mine.h5"
    out.write_text("lap times\n")
    with pytest.raises(SystemExit):
        run(main, ["moderate", "--seconds", "5", "--out", str(out)])
    assert "exists and is not a ppuu recording" in capsys.readouterr().err
    assert out.read_text() == "lap times\n"
