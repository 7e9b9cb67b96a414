"""Result files: one shape, sound intervals, nothing that JSON lacks."""

import json
import math

import numpy as np
import pytest

from eval.reports.results import hardware, write_results
from eval.statistics.intervals import rate


def test_the_file(tmp_path):
    path = tmp_path / "deep" / "results.json"
    rows = [
        {"name": "human", "success": rate(20, 20), "steps": np.int64(7), "why": "reference"},
        {"name": "none", "success": rate(0, 0), "clearance_m": math.inf, "fine": np.bool_(True)},
    ]
    write_results(path, "eval.test", {"split": "test", "where": tmp_path}, rows)
    report = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert list(report) == ["command", "commit", "config", "hardware", "rows"]
    assert report["rows"][0]["success"] == {
        "value": 1.0, "low": pytest.approx(0.8389, abs=1e-4), "high": 1.0, "n": 20,
    }  # fmt: skip
    assert report["rows"][0]["steps"] == 7
    assert report["rows"][1] == {
        "name": "none",
        "success": {"value": None, "low": None, "high": None, "n": 0},
        "clearance_m": None,
        "fine": True,
        "commit": report["commit"],
    }
    assert report["config"]["where"] == str(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, "eval.test", {}, [{"name": "old"}])
    with pytest.raises(TypeError):
        write_results(path, "eval.test", {}, [{"name": object()}])
    assert [row["name"] for row in json.loads(path.read_text())["rows"]] == ["old"]
    assert len(list(tmp_path.iterdir())) == 1


def test_hardware_is_described():
    found = hardware()
    assert found["cores"] >= 1 and found["torch_threads"] >= 1 and found["processor"]
    json.dumps(found, allow_nan=False)
