"""``python -m eval.demo``: the whole path on built-in traffic, from recording to report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppuu.command import run
from ppuu.errors import InputError
from ppuu.files import written_whole

from .closed_loop import short_row
from .results import format_table

_POLICIES = ("human", "mpur", "mpur-without-uncertainty", "imitation", "no-action", "idm")


@dataclass(frozen=True)
class Step:
    """One command of the path.

    Attributes:
        title: what it does, for the reader.
        words: the command, after ``python -m``.
        product: the file it leaves; a step whose product is there is not run again.
    """

    title: str
    words: tuple[str, ...]
    product: Path


def plan(out: Path, seconds: float, updates: tuple[int, int, int], seed: int) -> list[list[Step]]:
    """The commands, in stages; the steps of a stage run side by side.

    Args:
        out: directory of everything.
        seconds: traffic to learn from.
        updates: of the world model, of each MPUR policy, of imitation.
        seed: of the trainings.
    """
    train, test = str(out / "train.h5"), str(out / "test.h5")
    world_model, mpur, bare = out / "world-model", out / "mpur", out / "mpur-without-uncertainty"
    imitation = out / "imitation"

    def policy(method: str, directory: Path, count: int) -> Step:
        start = ("--world-model", str(world_model), "--init", str(imitation))
        return Step(
            f"learn to drive: {method}",
            (
                "train.policy", "--method", method, "--recordings", train, "--split", "all",
                "--out", str(directory), "--loop.updates", str(count), "--loop.seed", str(seed),
                *(() if method == "imitation" else start),
            ),
            directory / f".done-{count}",
        )  # fmt: skip

    drivers = tuple(
        str(out / name) if (out / name) in (mpur, bare, imitation) else name for name in _POLICIES
    )
    return [
        [
            Step(
                "record traffic to learn from",
                (
                    "data.generate", "dense", "--seconds", f"{seconds:g}", "--seed", "0",
                    "--out", train,
                ),
                out / "train.h5",
            ),
            Step(
                "record other traffic to be tested in",
                ("data.generate", "dense", "--seconds", "120", "--seed", "100", "--out", test),
                out / "test.h5",
            ),
        ],
        [
            Step(
                "learn how traffic evolves",
                (
                    "train.world_model", "--recordings", train, "--split", "all",
                    "--out", str(world_model), "--loop.updates", str(updates[0]),
                    "--loop.seed", str(seed),
                ),
                world_model / f".done-{updates[0]}",
            ),
            policy("imitation", imitation, updates[2]),
        ],
        [
            policy("mpur", mpur, updates[1]),
            policy("mpur-without-uncertainty", bare, updates[1]),
        ],
        [
            Step(
                "drive in other traffic",
                (
                    "eval.closed_loop", "--policy", *drivers, "--recordings", test,
                    "--split", "all", "--json", str(out / "results.json"),
                ),
                out / "results.json",
            ),
            Step(
                "judge the world model on other traffic",
                (
                    "eval.open_loop", "--world-model", str(world_model), "--recordings", test,
                    "--split", "all", "--clips", "128", "--futures", "5",
                    "--json", str(out / "open_loop.json"),
                ),
                out / "open_loop.json",
            ),
        ],
        [
            Step(
                "film the policy",
                (
                    "eval.video", "--policy", str(mpur), "--recordings", test, "--split", "all",
                    "--episodes", "3", "--out", str(out / "mpur.webm"),
                ),
                out / "mpur.webm",
            ),
            Step(
                "film keeping the wheel still",
                (
                    "eval.video", "--policy", "no-action", "--recordings", test, "--split", "all",
                    "--episodes", "3", "--out", str(out / "no-action.webm"),
                ),
                out / "no-action.webm",
            ),
        ],
        [
            Step(
                "write the report",
                ("eval.report", str(out), "--recording", test, "--out", str(out / "report.html")),
                out / "report.html",
            )
        ],
    ]  # fmt: skip


def _start(step: Step, line: int) -> subprocess.Popen:
    environment = os.environ | {
        # Two steps side by side on a core each beat one step on both.
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "OPENCV_LOG_LEVEL": "ERROR",
        "TQDM_POSITION": str(line),
    }
    sys.stderr.write(f"\n== {step.title}\n   python -m {' '.join(step.words)}\n")
    return subprocess.Popen([sys.executable, "-m", *step.words], env=environment)


def carry_out(stages: Sequence[Sequence[Step]]) -> dict[str, float]:
    """Runs what is not there yet; returns the seconds each title took.

    Raises:
        InputError: a command failed; what is done stays, so running again goes on from there.
    """
    seconds: dict[str, float] = {}
    for number, stage in enumerate(stages):
        todo = [step for step in stage if not step.product.exists()]
        for step in stage:
            if step not in todo:
                sys.stderr.write(f"== {step.title}: done already\n")
        if not todo:
            continue
        # Whatever was made from older products is stale, also if this run is interrupted.
        for later in (step for stage in stages[number + 1 :] for step in stage):
            later.product.unlink(missing_ok=True)
        began = time.monotonic()
        _side_by_side(todo)
        for step in todo:
            step.product.parent.mkdir(parents=True, exist_ok=True)
            step.product.touch()
            seconds[step.title] = round(time.monotonic() - began, 1)
    return seconds


def _side_by_side(steps: Sequence[Step]) -> None:
    """Runs steps at the same time; if one fails or we are stopped, the others are stopped, too."""
    running = {step: _start(step, line) for line, step in enumerate(steps)}
    try:
        waiting = set(running)
        while waiting:
            time.sleep(0.2)
            for step in [step for step in waiting if running[step].poll() is not None]:
                waiting.remove(step)
                if running[step].returncode != 0:
                    raise InputError(
                        f"'{step.title}' failed (see above); run the same command again to go on"
                    )
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def main(
    out: Path = Path("runs/demo"),
    seconds: float = 300.0,
    world_model_updates: int = 240,
    policy_updates: int = 180,
    imitation_updates: int = 1000,
    seed: int = 0,
) -> None:
    """Records traffic, learns a world model, learns to drive in it, scores it and writes a report.

    Everything is kept in one directory; a second run reuses what is done, an interrupted one goes
    on.  The last thing written is the results table and the path of the report.

    Args:
        out: directory of everything.
        seconds: traffic to learn from.
        world_model_updates: training of the world model.
        policy_updates: training of each MPUR policy.
        imitation_updates: training of the imitation policy.
        seed: of the trainings.
    """
    counts = (world_model_updates, policy_updates, imitation_updates)
    if min(counts) < 1 or not 20.0 <= seconds <= 3600.0:
        raise InputError(
            f"--seconds {seconds:g} must be from 20 to 3600, and all numbers of updates positive"
        )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = {"seconds": seconds, "seed": seed, "world_model_updates": world_model_updates}
    settings |= {"policy_updates": policy_updates, "imitation_updates": imitation_updates}
    kept = out / "settings.json"
    if kept.is_file() and kept.read_text() != json.dumps(settings):
        raise InputError(
            f"{out}: holds a demo with other settings ({kept.read_text()}); choose another --out, "
            "or delete that directory"
        )
    with written_whole(kept) as temporary:
        temporary.write_text(json.dumps(settings))
    took = carry_out(plan(out, seconds, counts, seed))
    times = out / "seconds.json"
    known = json.loads(times.read_text()) if times.is_file() else {}
    with written_whole(times) as temporary:
        temporary.write_text(json.dumps(known | took, indent=2) + "\n")
    rows = json.loads((out / "results.json").read_text())["rows"]
    table = format_table([short_row(row) for row in rows])
    sys.stdout.write(f"\n{table}\n\n{out / 'results.json'}\n{out / 'report.html'}\n")


if __name__ == "__main__":
    run(main)
