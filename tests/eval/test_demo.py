"""The demo at toy scale: its commands follow one another, and the report shows what they left."""

import importlib
import inspect
import json

import pytest

from eval import demo, report
from eval.studies.outcome import Outcome
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError


def in_process(_, steps) -> Outcome:
    """Runs steps one after another here, which spares importing torch for each."""
    for step in steps:
        assert all(path.is_file() for path in step.inputs), step.name
        module = importlib.import_module(step.module)
        if not hasattr(module, "main"):
            module = importlib.import_module(f"{step.module}.__main__")
        configured = "config" in inspect.signature(module.main).parameters
        run(module.main, step.command()[2:], module.PRESETS if configured else None)
        assert all(path.is_file() for path in step.products), step.name
    return Outcome({step.name: "done" for step in steps})


@pytest.mark.slow
def test_from_traffic_to_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("eval.demo.Pipeline.run", in_process)
    demo.main(tmp_path, 20.0, 20.0, world_model_updates=2, policy_updates=2, imitation_updates=2)
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    names = ["human", "mpur", "imitation", "no-action", "idm"]
    assert [row["name"] for row in rows] == names
    assert all(name in shown for name in names)
    page = (tmp_path / "report.html").read_text()
    assert all(f">{name}<" in page for name in names)
    assert page.count("data:video/webm") == 2 and page.count("data:image/png") == 2
    # Whoever sees the page knows where its numbers come from.
    assert json.loads((tmp_path / "results.json").read_text())["commit"] in page


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"seconds": 19.0}, "--seconds 19: must be from 20"),
        ({"test_seconds": 4000.0}, "--test-seconds 4000"),
        ({"policy_updates": 0}, r"-updates \d+ 0 \d+: must all be positive"),
    ],
)
def test_what_makes_no_demo_is_refused(tmp_path, options, complaint):
    with pytest.raises(InputError, match=complaint):
        demo.main(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_names_all_steps(tmp_path, capsys):
    demo.main(tmp_path / "out", dry_run=True)
    shown = capsys.readouterr().out
    assert "mpur: run, not made yet\n    python -m train.policy --recordings" in shown
    assert "report: run" in shown and not (tmp_path / "out").exists()


def test_an_unfinished_demo_has_no_report(tmp_path):
    with pytest.raises(InputError, match="not a finished demo run"):
        report.main(tmp_path, tmp_path / "test.h5", tmp_path / "report.html")
