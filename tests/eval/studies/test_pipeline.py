"""Steps of a study: what runs, in which order, why, and what becomes of failures."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eval.studies import records
from eval.studies.outcome import Outcome
from eval.studies.pipeline import Pipeline
from eval.studies.steps import Step
from ppuu.runtime.checkpoint import FILE_NAME
from ppuu.runtime.errors import InputError

COMMAND = """
import argparse, pathlib, time
parser = argparse.ArgumentParser()
parser.add_argument("--out", type=pathlib.Path, required=True)
parser.add_argument("--source", type=pathlib.Path, nargs="*", default=[])
parser.add_argument("--text", default="")
parser.add_argument("--device", default="cpu")
parser.add_argument("--wait-s", type=float, default=0)
parser.add_argument("--meet", default="")
parser.add_argument("--patience-s", type=float, default=0)
options = parser.parse_args()
print("on", options.device)
time.sleep(options.wait_s)
if options.meet:
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".here").touch()
    until = time.monotonic() + options.patience_s
    while not options.out.with_name(options.meet).with_suffix(".here").exists():
        if time.monotonic() > until:
            raise SystemExit("alone")
        time.sleep(0.02)
if options.text == "broken":
    raise SystemExit("no such text: broken")
options.out.parent.mkdir(parents=True, exist_ok=True)
text = "".join(path.read_text() for path in options.source) + options.text
options.out.write_text(text.rstrip("."))
with (options.out.parent / "runs.txt").open("a") as file:
    file.write(f"{options.out.name}\\n")
"""
"""Writes the text of its sources and its own, without dots at the end."""


@pytest.fixture
def out(tmp_path, monkeypatch) -> Path:
    """Directory of a study, beside a module ``concatenate``."""
    (tmp_path / "concatenate.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "study"


def concatenate(out: Path, name: str, text: str = "", sources=(), **options) -> Step:
    sources = tuple(out / source for source in sources)
    given = {"out": out / name, "source": sources, "text": text, **options}
    return Step(name, "concatenate", given, sources, (out / name,))


def training(out: Path, text: str, sources=()) -> Step:
    sources = tuple(out / source for source in sources)
    product = out / "run" / FILE_NAME
    given = {"out": product, "source": sources, "text": text}
    return Step(
        "training", "concatenate", given, sources, (product,),
        run_directory=out / "run", takes_device=True,
    )  # fmt: skip


def test_a_second_call_runs_nothing(out):
    steps = [concatenate(out, "b", "b", ["a"]), concatenate(out, "a", "a")]
    first = Pipeline(out, 2).run(steps)
    assert first.status == {"a": "done", "b": "done"} and set(first.seconds) == {"a", "b"}
    assert (out / "b").read_text() == "ab"
    second = Pipeline(out).run(steps)
    assert second.status == {"a": "up to date", "b": "up to date"}
    assert second.seconds == first.seconds
    assert (out / "runs.txt").read_text() == "a\nb\n"


def test_content_decides_and_not_times(out):
    source = out / "source"
    out.mkdir()
    source.write_text("1")
    steps = [concatenate(out, "a", "", ["source"]), concatenate(out, "b", "", ["a"])]
    Pipeline(out).run(steps)
    os.utime(source, (1, 2_000_000_000))
    assert set(Pipeline(out).run(steps).status.values()) == {"up to date"}
    # Same size, other content.
    source.write_text("2")
    assert Pipeline(out).run(steps).status == {"a": "done", "b": "done"}
    assert (out / "b").read_text() == "2"
    # Another input that gives the same product as before: what follows stays.
    source.write_text("2.")
    assert Pipeline(out).run(steps).status == {"a": "done", "b": "up to date"}


def test_changed_options_missing_products_and_changed_code_run_again(out, monkeypatch):
    def run(text):
        return Pipeline(out).run([concatenate(out, "a", text)]).status["a"]

    assert [run("x"), run("x"), run("y")] == ["done", "up to date", "done"]
    (out / "a").unlink()
    assert [run("y"), run("y")] == ["done", "up to date"]
    monkeypatch.setattr(records, "code_version", lambda: "other")
    assert [run("y"), run("y")] == ["done", "up to date"]


def test_a_study_can_be_moved(out):
    def steps(where):
        return [concatenate(where, "a", "a"), concatenate(where, "b", "b", ["a"])]

    Pipeline(out).run(steps(out))
    moved = out.rename(out.with_name("moved"))
    assert set(Pipeline(moved).run(steps(moved)).status.values()) == {"up to date"}


def test_a_training_is_kept_when_the_code_changes_and_refused_with_other_options(out, monkeypatch):
    source = out / "source"
    out.mkdir()
    source.write_text("1")
    Pipeline(out).run([training(out, "x", ["source"])])
    monkeypatch.setattr(records, "code_version", lambda: "other")
    assert Pipeline(out).run([training(out, "x", ["source"])]).status == {"training": "up to date"}
    first = concatenate(out, "first", "first")
    with pytest.raises(InputError, match=r'--text was "x", is now "y".*delete that directory'):
        Pipeline(out).run([first, training(out, "y", ["source"])])
    assert not (out / "first").exists()
    # Other data: nothing that is in the directory can be resumed.
    (out / "run" / "leftover").touch()
    source.write_text("2")
    assert Pipeline(out).run([training(out, "x", ["source"])]).status == {"training": "done"}
    assert not (out / "run" / "leftover").exists()


def test_a_failure_stops_only_what_needs_it(out, capsys):
    steps = [
        concatenate(out, "bad", "broken"),
        concatenate(out, "after-bad", "", ["bad"]),
        concatenate(out, "after-that", "", ["after-bad"]),
        concatenate(out, "good", "good"),
    ]
    pipeline = Pipeline(out, 2)
    outcome = pipeline.run(steps)
    assert outcome.status == {
        "bad": "failed", "after-bad": "skipped", "after-that": "skipped", "good": "done",
    }  # fmt: skip
    assert "no such text: broken" in capsys.readouterr().err
    assert "no such text: broken" in (out / "logs" / "bad.log").read_text()
    with pytest.raises(InputError, match="bad failed, and 2 steps that need"):
        outcome.require_complete(pipeline.logs)
    # Mended, it goes on from there.
    steps[0] = concatenate(out, "bad", "mended")
    outcome = Pipeline(out, 2).run(steps)
    assert outcome.status["good"] == "up to date" and (out / "after-that").read_text() == "mended"
    outcome.require_complete(pipeline.logs)
    # What followed from an earlier result is not left behind as if it were the new one's.
    steps[0] = concatenate(out, "bad", "broken")
    assert Pipeline(out, 2).run(steps).status["after-that"] == "skipped"
    assert not [name for name in ("bad", "after-bad", "after-that") if (out / name).exists()]


def test_a_command_that_leaves_no_product_has_failed(out, capsys):
    step = Step("silent", "platform", {}, (), (out / "none",))
    assert Pipeline(out).run([step]).failed == ["silent"]
    assert "it left no" in capsys.readouterr().err


def test_the_device_reaches_steps_that_take_one_and_changes_nothing_else(out):
    steps = [training(out, "x"), concatenate(out, "a", "a")]
    Pipeline(out, device="meta").run(steps)
    assert "on meta" in (out / "logs" / "training.log").read_text()
    assert "on cpu" in (out / "logs" / "a.log").read_text()
    assert set(Pipeline(out, device="cpu").run(steps).status.values()) == {"up to date"}


def test_a_dry_run_explains_and_runs_nothing(out):
    steps = [concatenate(out, "a", "a"), concatenate(out, "b", "b", ["a"])]
    text = Pipeline(out).explain(steps)
    assert "a: run, not made yet\n    python -m concatenate --out" in text
    assert not out.exists()
    Pipeline(out).run(steps)
    assert Pipeline(out).explain(steps) == "a: keep, up to date\nb: keep, up to date\n"
    steps[0] = concatenate(out, "a", "other")
    text = Pipeline(out).explain(steps)
    assert 'a: run, --text was "a", is now "other"' in text
    assert "b: run, unless a leaves the same input as before" in text
    assert (out / "b").read_text() == "ab"


def meeting(out: Path, patience_s: float) -> list[Step]:
    """Two steps, each of which fails unless the other runs at the same time."""
    return [concatenate(out, one, meet=other, patience_s=patience_s) for one, other in ("ab", "ba")]


def test_steps_run_side_by_side_but_no_more_than_asked_for(out):
    assert Pipeline(out, 2).run(meeting(out, 60.0)).failed == []
    assert Pipeline(out / "alone", 1).run(meeting(out / "alone", 0.3)).failed == ["a"]


def test_an_interrupted_step_is_begun_again(out):
    """SIGTERM ends the running command, too; what it left unfinished is not taken for done."""
    program = (
        "from pathlib import Path\n"
        "from eval.studies.pipeline import Pipeline\n"
        "from tests.eval.studies.test_pipeline import concatenate\n"
        f"out = Path({str(out)!r})\n"
        "Pipeline(out).run([concatenate(out, 'a', 'a', wait_s=60)])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE)
    log = out / "logs" / "a.log"
    while not (log.exists() and "on cpu" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    (out / "a").write_text("half")
    step = concatenate(out, "a", "a", wait_s=60)
    assert "begun, but not finished" in Pipeline(out).explain([step])


def test_outcomes_add_up():
    both = Outcome({"a": "done"}, {"a": 1.0}) | Outcome({"b": "failed"})
    assert both.failed == ["b"] and both.seconds == {"a": 1.0}


def test_none_at_once_is_refused(tmp_path):
    with pytest.raises(InputError, match="--at-once 0"):
        Pipeline(tmp_path, 0)
