"""Result files: one shape, sound intervals, nothing that JSON lacks."""

import json
import math

import numpy as np
import pytest

from eval.reports.results import (
    Metric,
    format_table,
    hardware,
    mean,
    median_and_range,
    rate,
    wilson_interval,
    write_results,
)
from ppuu.runtime.errors import InputError


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_the_published_ones(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson_interval(n - successes, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_a_wilson_interval_covers_the_truth():
    random = np.random.default_rng(0)
    found = random.binomial(60, 0.9, 2000)
    inside = [low <= 0.9 <= high for low, high in (wilson_interval(int(k), 60) for k in found)]
    assert 0.93 < np.mean(inside) < 0.975


def test_no_share_of_nothing():
    with pytest.raises(InputError, match="not a share"):
        wilson_interval(3, 2)
    assert math.isnan(rate(0, 0).value)
    assert rate(3, 4) == Metric(0.75, *wilson_interval(3, 4), 4)


def test_bootstrap_means():
    random = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        metric = mean(random.exponential(2.0, 80))
        inside.append(metric.low <= 2.0 <= metric.high)
    assert np.mean(inside) > 0.85
    values = random.normal(5.0, 1.0, 100)
    assert mean(values) == mean(values)
    assert mean(values).high - mean(values).low == pytest.approx(2 * 1.96 * 0.1, rel=0.25)
    assert mean([3.0]).value == 3.0 and math.isnan(mean([3.0]).low)
    assert math.isnan(mean([]).value)


def test_median_and_range():
    assert median_and_range([5.0, 1.0, 2.0]) == Metric(2.0, 1.0, 5.0, 3)


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


def test_tables_align():
    text = format_table(
        [{"name": "human", "success": rate(20, 20)}, {"name": "no action", "steps_per_s": 12345.6}]
    )
    lines = text.splitlines()
    assert lines[0].split() == ["name", "success", "steps_per_s"]
    assert "1 [0.8389, 1]" in lines[2] and lines[3].endswith("12,346")
    assert format_table([]) == "(no rows)"
