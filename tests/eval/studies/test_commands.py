"""Every command of a study exists and accepts the options it is given."""

import functools
import importlib
import inspect
from pathlib import Path

import pytest

from eval import demo, objectives, table
from eval.studies.steps import Step
from eval.studies.table_rows import PRESETS
from ppuu.runtime.command import run

OUT, TRAINING, TEST = Path("out"), [Path("a.h5"), Path("b.h5")], [Path("t.h5")]
SCALE = {"world_model": {"updates": 7}, "imitation": {}, "policy": {"updates": 8}}


def all_steps() -> list[Step]:
    steps = demo.plan(OUT, (300.0, 120.0), (1, 1, 1), 0)
    for name, preset in PRESETS.items():
        steps += table.trainings(OUT, preset, TRAINING, (0, 1), SCALE)
        steps += table.scores(OUT, name, TEST, (0, 1), ("replay", "ppuu"), 9)
    scale = objectives.Scale(policy_updates=5)
    for name in objectives.ROWS:
        steps += objectives.plan(OUT, name, 0, TRAINING, TEST, scale)
    return [*steps, objectives.references(OUT, TEST, scale)]


DISTINCT = {
    (step.module, step.options.get("preset"), *sorted(step.options)): step for step in all_steps()
}
"""One step of each command, preset and set of options."""


@pytest.mark.parametrize("step", DISTINCT.values(), ids=lambda step: step.name)
def test_a_step_is_accepted_by_its_command(step):
    module = importlib.import_module(step.module)
    if not hasattr(module, "main"):
        module = importlib.import_module(f"{step.module}.__main__")
    given = {}

    @functools.wraps(module.main)
    def capture(*arguments, **options):
        given.update(options)

    parameters = inspect.signature(module.main).parameters
    chosen = {}
    if step.module == "train.encoder":
        chosen = {"presets": module.OBJECTIVES, "chosen_by": "objective", "default": "vicreg"}
    elif "config" in parameters:
        chosen = {"presets": module.PRESETS}
    run(capture, step.command("cuda")[2:], **chosen)
    assert step.takes_device == ("device" in parameters) == (given.get("device") == "cuda")
    assert set(step.products) & {given.get("json"), given.get("out")} or step.run_directory
    if "updates" in step.options:
        assert given["config"].loop.updates == step.options["updates"]


def test_values_become_words():
    options = {"loop.learning_rate": 1e-3, "limit": None, "policy": ("idm", Path("a"))}
    step = Step("x", "m", options, (), (Path("x"),), ("dense",), takes_device=True)
    words = ["-m", "m", "dense", "--loop.learning-rate", "0.001", "--policy", "idm", "a"]
    assert step.command() == words
    assert step.command("cuda") == [*words, "--device", "cuda"]
    assert step.settings()["policy"] == ["idm", {"path": "a"}] and "limit" not in step.settings()
