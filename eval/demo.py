"""``python -m eval.demo``: the whole path on generated traffic, from recording to report.

Few updates and small batches, so that all of it takes minutes on two cores; ``eval.table`` trains
with the presets' own.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import read_json

from .driving.summary import success_columns
from .reports.tables import text_table
from .studies.commands import Options, checkpoint, drive, evaluate, generate, train
from .studies.pipeline import Pipeline
from .studies.steps import Step

_MPUR: Options = {"batch": 4, "loop.learning_rate": 2e-3}
"""A quarter of the preset's batch at twice its rate: the number of updates counts most."""
_SCENARIOS = 200
"""Driven by each policy, of about 325."""


def plan(
    out: Path, seconds: tuple[float, float], updates: tuple[int, int, int], seed: int
) -> list[Step]:
    """The commands.

    Args:
        out: directory of the demo.
        seconds: length of the traffic to learn from, and to be tested in.
        updates: of the world model, of MPUR, of imitation.
        seed: of the trainings.
    """
    training, test = out / "train.h5", out / "test.h5"
    world_model, imitation, mpur = out / "world-model", out / "imitation", out / "mpur"

    def video(driver: str | Path, path: Path) -> Step:
        options = {
            "policy": driver, "recordings": test, "split": "all", "episodes": 3, "out": path
        }  # fmt: skip
        models = (checkpoint(driver),) if isinstance(driver, Path) else ()
        return Step(
            f"video-{path.stem}", "eval.video", options, (test, *models), (path,),
            takes_device=True,
        )  # fmt: skip

    by_mpur, by_nothing = out / "mpur.webm", out / "no-action.webm"
    results, open_loop, report = (
        out / name for name in ("results.json", "open_loop.json", "report.html")
    )
    shown = (results, open_loop, by_mpur, by_nothing, test)
    shown += tuple(map(checkpoint, (world_model, imitation, mpur)))
    return [
        generate("train-recording", training, "dense", seconds[0], 0),
        generate("test-recording", test, "dense", seconds[1], 100),
        train(
            world_model.name, "train.world_model", world_model, [training], seed,
            {"updates": updates[0]},
        ),
        train(
            imitation.name, "train.policy", imitation, [training], seed,
            {"method": "imitation", "updates": updates[2]},
        ),
        train(
            mpur.name, "train.policy", mpur, [training], seed,
            {
                "method": "mpur", "world_model": world_model, "init": imitation,
                "updates": updates[1], **_MPUR,
            },
            [world_model, imitation],
        ),
        evaluate(
            "open-loop", "eval.open_loop", open_loop, [test],
            {"world_model": world_model, "split": "all", "clips": 128, "futures": 5},
            [world_model],
        ),
        video("no-action", by_nothing),
        drive(
            "drive", results, [test], ["human", mpur, imitation, "no-action", "idm"],
            {"limit": _SCENARIOS},
        ),
        video(mpur, by_mpur),
        Step(
            "report", "eval.report", {"recordings": test, "out": report}, shown, (report,), (out,),
            takes_device=True,
        ),
    ]  # fmt: skip


def main(
    out: Path = Path("runs/demo"),
    seconds: float = 300.0,
    test_seconds: float = 120.0,
    world_model_updates: int = 150,
    policy_updates: int = 1200,
    imitation_updates: int = 300,
    seed: int = 0,
    device: str | None = None,
    dry_run: bool = False,
) -> None:
    """Records traffic, learns a world model, learns to drive in it, scores it and writes a report.

    Everything is kept in one directory: a second run reuses what is up to date, an interrupted one
    goes on. OUT/logs holds what each command printed. The results table and the path of the report
    come last.

    Args:
        out: directory of the demo.
        seconds: length of the traffic to learn from.
        test_seconds: length of the traffic to be tested in.
        world_model_updates: training of the world model.
        policy_updates: training of the MPUR policy.
        imitation_updates: training of the imitation policy.
        seed: of the trainings.
        device: where networks compute, such as cpu or cuda; each command's own default if not
            given.
        dry_run: print what would run and why, and run nothing.
    """
    counts = (world_model_updates, policy_updates, imitation_updates)
    if min(counts) < 1:
        raise InputError(f"--*-updates {' '.join(map(str, counts))}: must all be positive")
    for option, length in (("--seconds", seconds), ("--test-seconds", test_seconds)):
        if not 20.0 <= length <= 3600.0:
            raise InputError(f"{option} {length:g}: must be from 20 to 3600")
    pipeline = Pipeline(out, 2, device)
    steps = plan(out, (seconds, test_seconds), counts, seed)
    if dry_run:
        sys.stdout.write(pipeline.explain(steps))
        return
    pipeline.run(steps).require_complete(pipeline.logs)
    rows = read_json(out / "results.json")["rows"]
    table = text_table([success_columns(row) for row in rows])
    sys.stdout.write(f"\n{table}\n\n{out / 'results.json'}\n{out / 'report.html'}\n")


if __name__ == "__main__":
    run(main)
