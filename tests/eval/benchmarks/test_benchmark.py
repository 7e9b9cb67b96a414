"""The speed benchmarks run and report what they should; how fast is not tested."""

import json
import math

import numpy as np
import pytest

from data.traffic import PRESETS, generate
from envs.core.scenario import list_scenarios
from eval import benchmark
from eval.benchmarks import data, planning
from eval.benchmarks.crowds import crowd
from eval.benchmarks.data import DataBenchmark
from eval.benchmarks.kernels import KernelsBenchmark
from eval.benchmarks.planning import PlanningBenchmark
from eval.benchmarks.raster import RasterBenchmark
from eval.benchmarks.simulator import SimulatorBenchmark
from ppuu.runtime.command import run
from tests.helpers import dense_recording
from tests.ppuu.backends.test_parity import CASES

QUICK = ["--seconds", "6", "--repeats", "2", "--block-s", "0.01", "--warm-up-s", "0"]
SCENES = ["--vehicles", "30", "200", "--beside"]


def test_simulator(tmp_path, capsys):
    path = tmp_path / "speed.json"
    run(
        benchmark.main,
        ["simulator", "--environments", "1", "3", *QUICK, *SCENES, "--json", str(path)],
    )
    report = json.loads(path.read_text())
    kinds = [(row["environments"], row["observation"]) for row in report["rows"]]
    assert kinds == 2 * [(1, "raster"), (3, "raster"), (1, "state"), (3, "state")]
    for row in report["rows"]:
        speed = row["env_steps_per_s"]
        assert 0 < speed["low"] <= speed["value"] <= speed["high"] and speed["n"] == 2
        assert row["device"] == "cpu" and row["collision_share"] > 0
        assert ("raster_share" in row) == (row["observation"] == "raster")
    natural, crowded = sorted({row["vehicles"] for row in report["rows"]})
    assert 20 <= natural <= 60 and crowded == 200
    assert report["config"]["environments"] == [1, 3]
    assert "env_steps_per_s" in capsys.readouterr().out


def test_planning():
    rows = PlanningBenchmark(
        ("tokens,samples=2,steps=3,iterations=2", "recorded,planner=random,candidates=8"),
        (1, 2), seconds=15.0, decisions=3, warm_up=1,
    ).run()  # fmt: skip
    kinds = [(row["planner"], row["world"], row["environments"]) for row in rows]
    assert kinds == [(p, w, n) for p, w in (("gradient", "tokens"), ("random", "recorded"))
                     for n in (1, 2)]  # fmt: skip
    assert all(row["ms_median"] > 0 and row["decisions"] == 3 for row in rows)
    assert all(math.isnan(row["ms_p95"]) for row in rows)  # of three decisions it would mean little
    assert rows[0]["horizon_frames"] == 9 and rows[0]["samples"] == 2


def test_slow_planners_take_no_longer_than_allowed(monkeypatch):
    monkeypatch.setattr(planning, "_SLOW_PER_S", math.inf)
    rows = PlanningBenchmark(("recorded,iterations=1",), (2, 1), 15.0, 25, limit_s=1e-9).run()
    assert [(row["environments"], row["decisions"]) for row in rows] == [(1, 1)]
    monkeypatch.undo()
    rows = PlanningBenchmark(("recorded,iterations=1",), (1, 2), 15.0, 25).run()
    assert [(row["environments"], row["decisions"]) for row in rows] == [(1, 25), (2, 25)]
    assert all(row["ms_median"] <= row["ms_p95"] for row in rows)


def test_raster():
    rows = RasterBenchmark((2,), seconds=1.0, repeats=2, block_s=0.01, warm_up_s=0.0).run()
    assert [row["name"] for row in rows] == ["raster, 2", "raster, 2, with gradients"]
    assert all(row["images_per_s"].value > 0 for row in rows)


def test_kernels():
    """Every kernel is measured."""
    rows = KernelsBenchmark(
        (2,), candidates=2, threads=(1,), seconds=20.0, rounds=2, block_s=0
    ).run()
    assert all(row["compiled_ms"].value > 0 and row["tensors_ms"].value > 0 for row in rows)
    measured = {name for row in rows for name in row["kernels"].split()}
    assert measured == {kernel.name for case in CASES.values() for kernel in case.pair.kernels}


def test_an_unknown_preset_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        run(benchmark.main, ["simulator", "--traffic", "empty"])
    assert ended.value.code == 2
    assert "no traffic 'empty'; choose one of" in capsys.readouterr().err
    assert SimulatorBenchmark().traffic == "dense"


def test_a_crowd_keeps_its_distances():
    recording = generate(PRESETS["dense"], 5.0, seed=0)
    for vehicles in (30, 300):
        scene = crowd(recording, vehicles)
        assert abs(scene.rows / scene.frames - vehicles) < 3
        known = set(np.round(np.stack([recording.x_m, recording.speed_mps], 1), 9).ravel())
        assert set(np.round(scene.x_m, 9)) <= known
        lanes = np.abs(scene.road.left_m - scene.road.right_m)[:, 1].max()
        assert lanes == pytest.approx(np.abs(recording.road.left_m - recording.road.right_m).max())
        list_scenarios(scene)


def test_data_from_text_to_a_training_step(monkeypatch):
    """A small recording, written, prepared and read again by the commands themselves."""
    monkeypatch.setattr(data, "generate", lambda *_, **__: dense_recording())
    little = {"clips": 2, "horizon": 5, "repeats": 1, "block_s": 0.01, "warm_up_s": 0.0}
    quick = DataBenchmark(**little, updates=1, preset="debug")
    prepared, file, poses, drawn, training = quick.run()
    assert prepared["rows"] == file["rows"] == dense_recording().rows
    assert prepared["peak_mib"] > 50 and file["smaller_by"] > 10
    assert poses["clips_per_s"].value > 0 and drawn["images_per_s"].value > 0
    assert 0 < training["data_share"] < 1
