"""The corpus: reproducible, sharded, restartable, described by its manifest, and fit to drive."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from data.corpus import generate as corpus_generate
from data.corpus import plots
from data.corpus.generate import layout
from data.corpus.ranges import MEANINGS, RANGES, Choice, LogUniform, Uniform, draw
from data.corpus.traffic import traffic_of
from data.generate import corpus
from data.traffic.simulate import record
from ppuu.kinematics import infer_actions
from ppuu.recordings.recording import load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.files import sha256

from ..drivers_without_learning import overlapping_rows


@pytest.fixture
def short(monkeypatch):
    """Recordings of a second or two, without a queue, seen as they are."""
    monkeypatch.setitem(RANGES, "sensor", Choice(("exact",)))
    monkeypatch.setitem(RANGES, "seconds", Uniform(1.0, 2.0))
    monkeypatch.setattr(corpus_generate, "WARM_UP_S", 1.0)
    monkeypatch.setattr(corpus_generate, "RECORDINGS_IN_A_FILE", 2)


TINY_HOURS = 6 / 3600
"""Four or five of the short recordings."""
HELD_OUT = 0.3


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_drawn_lies_in_the_stated_ranges():
    assert MEANINGS.keys() == RANGES.keys()
    drawn = [draw(3, index) for index in range(300)]
    for name, one in RANGES.items():
        values = [each[name] for each in drawn if name in each]
        if isinstance(one, Choice):
            assert set(values) == set(one.values)
        else:
            assert one.low <= min(values) and max(values) <= one.high
            assert np.histogram(values, one.edges(3))[0].min() > 0.2 * len(values)


def test_parameters_without_effect_are_not_claimed():
    for index in range(200):
        drawn = draw(3, index)
        assert ("merge_start_m" in drawn) == (drawn["ramp"] != "none")
        assert ("ramp_inflow_hz" in drawn) == (drawn["ramp"] in ("on", "weave"))
        assert ("exit_share" in drawn) == (drawn["ramp"] in ("off", "weave"))
        assert ("carpool_inflow_hz" in drawn) == drawn["carpool_lane"]
        assert ("bend_acceleration_mps2" in drawn) == drawn["bends"]
        assert drawn["main_lanes"] >= 4 or not drawn["carpool_lane"]


def test_a_new_parameter_leaves_the_others_as_they_are(monkeypatch):
    before = draw(3, 7)
    monkeypatch.setitem(RANGES, "weather", LogUniform(0.1, 1.0))
    after = draw(3, 7)
    assert after.pop("weather") and after == before
    assert draw(3, 8) != before != draw(4, 7)


def test_the_road_and_traffic_are_those_drawn():
    for index in range(100):
        drawn = draw(3, index)
        traffic = traffic_of(drawn)
        highway, ramp = traffic.highway, traffic.highway.ramp
        assert (highway.main_lanes, highway.lane_width_m) == (
            drawn["main_lanes"], drawn["lane_width_m"],
        )  # fmt: skip
        assert (ramp is None) == (drawn["ramp"] == "none")
        if ramp is not None:
            kind = {(True, False): "on", (False, True): "off", (True, True): "weave"}
            assert kind[ramp.on_ramp, ramp.off_ramp] == drawn["ramp"]
            assert 0 < ramp.merge_start_m < ramp.merge_end_m < 500
        if drawn["bends"]:
            mean_mps = 29.0 * drawn["desired_speed_scale"]
            lateral = mean_mps**2 / highway.smallest_radius_m
            assert lateral == pytest.approx(drawn["bend_acceleration_mps2"])


def test_a_longer_corpus_begins_with_a_shorter_one(tmp_path):
    shorter, longer = (layout(tmp_path, hours, 3, 0.2) for hours in (1.0, 2.0))
    indices = [index for file in longer for index in file.indices]
    assert sorted(indices) == list(range(len(indices)))
    assert 7200.0 <= sum(draw(3, index)["seconds"] for index in indices) < 7290.0
    held_out = {i for file in longer if file.split == "heldout" for i in file.indices}
    assert len(held_out) / len(indices) == pytest.approx(0.2, abs=0.01)
    by_path = {file.path: file for file in longer}
    for file in shorter:
        assert by_path[file.path].indices[: len(file.indices)] == file.indices
        assert len(file.indices) <= 8 and file.path.name.startswith(file.split)


def test_the_manifest_says_what_is_there(short, tmp_path, capsys):
    corpus(tmp_path, hours=TINY_HOURS, seed=3, held_out=HELD_OUT)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["synthetic"] is True and manifest["seed"] == 3
    assert manifest["ranges"]["headway_scale"]["meaning"] == MEANINGS["headway_scale"]
    assert manifest["ranges"]["seconds"]["low"] == 1.0
    assert {name: sha256(tmp_path / name) for name in manifest["files"]} == manifest["files"]
    entries = {entry["name"]: entry for entry in manifest["recordings"]}
    assert [entry["index"] for entry in manifest["recordings"]] == list(range(len(entries)))
    for split in ("train", "heldout"):
        recordings = load_recordings(sorted(tmp_path.glob(f"{split}*.h5")))
        totals = manifest["totals"][split]
        assert totals["recordings"] == len(recordings) > 0
        seconds = sum(len(recording.frame) for recording in recordings) * 0.1
        assert totals["vehicle_hours"] == pytest.approx(seconds / 3600, abs=1e-3)
        for recording in recordings:
            entry = entries.pop(recording.name)
            assert entry["split"] == split and entry["sha256"] == recording.content_hash
            assert entry["parameters"] == draw(3, entry["index"])
            assert entry["mean_speed_mps"] == pytest.approx(recording.speed_mps.mean(), abs=1e-3)
            assert entry["vehicles"] == recording.vehicles
            assert entry["overlapping_pairs"] == entry["off_road_rows"] == 0
    assert not entries
    printed = capsys.readouterr().out
    assert "vehicle-hours" in printed and "overlapping pairs 0" in printed
    page = (tmp_path / "index.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "") and "src=" not in page
    assert all(html.escape(MEANINGS[name]) in page for name in RANGES)
    assert "corpus3-" in page and page.count("<svg") > len(RANGES)


def test_a_recording_is_seen_by_the_sensor_drawn(short, monkeypatch):
    monkeypatch.setitem(RANGES, "seconds", Uniform(4.0, 5.0))
    exact = corpus_generate.generate(3, 0, "train")
    monkeypatch.setitem(RANGES, "sensor", Choice(("ngsim",)))
    seen = corpus_generate.generate(3, 0, "train")
    assert seen.name == exact.name and seen.provenance["sensor"]["name"] == "ngsim"
    assert "sensor" not in exact.provenance
    assert seen.provenance["corpus"]["faults"] == exact.provenance["corpus"]["faults"]
    here, there = (
        {
            (number, frame): x
            for number, frame, x in zip(
                one.vehicle_id[one.row_vehicle].tolist(), one.frame.tolist(), one.x_m, strict=True
            )
        }
        for one in (seen, exact)
    )
    errors = [abs(x - there[place]) for place, x in here.items() if place in there]
    assert len(errors) > 500 and 0.05 < np.median(errors) < 2.0


def test_an_interrupted_corpus_goes_on_and_is_the_same(short, tmp_path):
    corpus(tmp_path, hours=TINY_HOURS, seed=3, held_out=HELD_OUT)
    whole = content(tmp_path)
    kept = tmp_path / "train-0000.h5"
    before = kept.stat().st_mtime_ns
    (tmp_path / "train-0001.json").unlink()  # written after its recordings
    damaged = tmp_path / "heldout-0000.h5"
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    corpus(tmp_path, hours=TINY_HOURS, seed=3, held_out=HELD_OUT)
    assert content(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_more_hours_add_to_the_same_recordings(short, tmp_path):
    for hours in (TINY_HOURS, 1.5 * TINY_HOURS):
        corpus(tmp_path / "grown", hours=hours, seed=3, held_out=HELD_OUT)
    corpus(tmp_path / "at-once", hours=1.5 * TINY_HOURS, seed=3, held_out=HELD_OUT)
    assert content(tmp_path / "grown") == content(tmp_path / "at-once")
    corpus(tmp_path / "grown", hours=TINY_HOURS, seed=3, held_out=HELD_OUT)
    assert content(tmp_path / "grown") == content(tmp_path / "at-once")


def test_shards_fill_the_folder_in_any_order(short, tmp_path):
    corpus(tmp_path / "whole", hours=TINY_HOURS, seed=3, held_out=HELD_OUT)
    for shard in ("2/2", "1/2"):
        corpus(tmp_path / "shards", hours=TINY_HOURS, seed=3, held_out=HELD_OUT, shard=shard)
    assert content(tmp_path / "shards") == content(tmp_path / "whole")


@pytest.mark.parametrize(
    "options, problem",
    [
        (["--hours", "0"], "--hours 0.0"),
        (["--seed", "-1"], "--seed -1"),
        (["--held-out", "1"], "--held-out 1.0"),
        (["--workers", "0"], "--workers 0"),
        (["--shard", "3/2"], "--shard 3/2"),
    ],
)
def test_options_out_of_range_are_one_line_and_leave_nothing(tmp_path, capsys, options, problem):
    out = tmp_path / "corpus"
    with pytest.raises(SystemExit) as stop:
        run(corpus, ["--out", str(out), *options], subcommand="corpus")
    message = capsys.readouterr().err
    assert stop.value.code == 2
    assert message.startswith("error: ") and problem in message and message.count("\n") == 1
    assert not out.exists()


def test_other_folders_are_left_alone(short, tmp_path, capsys):
    own, foreign = tmp_path / "own", tmp_path / "foreign"
    corpus(own, hours=1 / 3600, seed=3)
    foreign.mkdir()
    shutil.copy(next(own.glob("*.h5")), foreign / "train-0000.h5")
    for folder, problem in ((own, "seed is 3, not 4"), (foreign, "holds no corpus")):
        before = content(folder)
        with pytest.raises(SystemExit):
            run(corpus, ["--out", str(folder), "--seed", "4"], subcommand="corpus")
        assert problem in capsys.readouterr().err
        assert content(folder) == before


EXTREMES = {
    "two narrow lanes full of lorries, and an off-ramp": {
        "main_lanes": 2, "lane_width_m": 3.2, "truck_share": 0.25, "wander_m": 0.35,
        "inflow_per_lane_hz": 0.6, "bottleneck_speed_mps": 6.0, "ramp": "off",
        "merge_start_m": 20.0, "merge_length_m": 150.0, "exit_share": 0.3,
    },
    "six fast lanes in the sharpest bends": {
        "main_lanes": 6, "bends": True, "bend_acceleration_mps2": 2.0, "desired_speed_scale": 1.35,
        "bottleneck_speed_mps": 40.0, "bottleneck_swing_ratio": 0.0,
    },
    "slow sharp bends, a busy short weave and waves": {
        "main_lanes": 3, "bends": True, "bend_acceleration_mps2": 2.0, "desired_speed_scale": 0.7,
        "ramp": "weave", "merge_start_m": 20.0, "merge_length_m": 150.0, "ramp_inflow_hz": 0.35,
        "exit_share": 0.3, "bottleneck_swing_ratio": 0.7, "bottleneck_speed_mps": 10.0,
    },
    "short headways and an unsteady foot beside a car-pool lane": {
        "main_lanes": 4, "carpool_lane": True, "carpool_inflow_hz": 0.45,
        "carpool_speed_ratio": 1.5, "headway_scale": 0.75, "acceleration_noise_mps2": 0.25,
        "lane_wish_rate_hz": 0.012, "inflow_per_lane_hz": 0.6, "ramp": "on",
        "merge_start_m": 150.0, "merge_length_m": 330.0, "ramp_inflow_hz": 0.35,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EXTREMES)
def test_the_extremes_are_fit_to_drive(name):
    """No overlap, all on the road, and the recorded human can be followed."""
    plain = {"ramp": "none", "bends": False, "carpool_lane": False, "bottleneck_speed_mps": 12.0}
    drawn = draw(3, 0) | plain | EXTREMES[name]
    recording = record(traffic_of(drawn), 10.0, seed=5, warm_up_s=25.0)
    assert overlapping_rows(recording) == 0
    assert recording.road.drivable(np.stack([recording.x_m, recording.y_m], axis=1)).all()
    worst, followed = 0.0, 0
    for vehicle in range(0, recording.vehicles, 5):
        track = torch.tensor(recording.track(vehicle))
        if len(track) >= 20:
            _, states = infer_actions(track[:, :2], track[0, 2], track[0, 3], recording.dt_s)
            followed += 1
            worst = max(worst, float((states[:, :2] - track[:, :2]).norm(dim=1).max()))
    assert worst < 0.3 and followed > 5


def test_bars_are_as_tall_as_their_fractions():
    picture = plots.shares({"train": ["a", "b", "b", "b"], "heldout": ["a"]}, ["a", "b"])
    tall = [float(part.split('"')[0]) for part in picture.split('height="')[1:]]
    largest = max(tall)
    assert [round(each / largest, 2) for each in tall] == [0.25, 0.75, 1.0, 0.0]


def test_the_document_states_the_ranges():
    document = (Path(__file__).parents[3] / "docs" / "corpus.md").read_text()
    for name, one in RANGES.items():
        assert f"| `{name}`: {MEANINGS[name]} | {one} |" in document
