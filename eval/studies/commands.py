"""The commands that studies are made of, as steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ppuu.runtime.checkpoint import FILE_NAME

from .steps import Step, Value

Options = Mapping[str, Value]


def checkpoint(run: Path) -> Path:
    """The file by which a run directory is judged to have changed."""
    return run / FILE_NAME


def generate(name: str, recording: Path, preset: str, seconds: float, seed: int) -> Step:
    """Generated traffic: ``data.generate``."""
    options = {"seconds": seconds, "seed": seed, "out": recording}
    return Step(name, "data.generate", options, (), (recording,), (preset,))


def train(
    name: str,
    module: str,
    run: Path,
    recordings: Sequence[Path],
    seed: int,
    options: Options,
    models: Sequence[Path] = (),
) -> Step:
    """A training on the whole of some recordings.

    Args:
        name: of the step.
        module: the recipe.
        run: directory of the training.
        recordings: training data.
        seed: of the training.
        options: of the recipe, further ones.
        models: run directories that the recipe reads.
    """
    common = {"recordings": tuple(recordings), "split": "all", "out": run, "loop.seed": seed}
    return Step(
        name, module, common | dict(options), (*recordings, *map(checkpoint, models)),
        (checkpoint(run),), run_directory=run, takes_device=True,
    )  # fmt: skip


def evaluate(
    name: str,
    module: str,
    json: Path,
    recordings: Sequence[Path],
    options: Options,
    models: Sequence[Path] = (),
) -> Step:
    """A command that writes a result file.

    Args:
        name: of the step.
        module: the command.
        json: the result file.
        recordings: held-out data.
        options: of the command, further ones.
        models: run directories that the command reads.
    """
    common = {"recordings": tuple(recordings), "json": json}
    inputs = (*recordings, *map(checkpoint, models))
    return Step(
        name, module, dict(options) | common, inputs, (json,), takes_device=True
    )  # fmt: skip


def drive(
    name: str,
    json: Path,
    recordings: Sequence[Path],
    policies: Sequence[str | Path],
    options: Options,
    models: Sequence[Path] = (),
) -> Step:
    """Policies in all scenarios of some recordings: ``eval.closed_loop``.

    Args:
        name: of the step.
        json: the result file; the episodes are kept beside it.
        recordings: held-out data.
        policies: names, and run directories as paths.
        options: of the command, further ones.
        models: run directories named inside of policies' names.
    """
    common = {
        "policy": tuple(policies), "recordings": tuple(recordings), "split": "all", "json": json
    }  # fmt: skip
    runs = [policy for policy in policies if isinstance(policy, Path)]
    return Step(
        name, "eval.closed_loop", common | dict(options),
        (*recordings, *map(checkpoint, [*runs, *models])),
        (json, json.with_suffix(".episodes.csv")), takes_device=True,
    )  # fmt: skip
