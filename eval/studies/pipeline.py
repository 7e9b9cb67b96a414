"""Commands in stages: what is done stays done, whatever is interrupted goes on."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ppuu.recordings.recording import list_recordings, load_recordings
from ppuu.runtime.errors import InputError


@dataclass(frozen=True)
class Step:
    """One command of a longer path.

    Attributes:
        title: what it does, for the reader.
        words: the command, after ``python -m``.
        product: the file it leaves; a step whose product is there is not run again.
    """

    title: str
    words: tuple[str, ...]
    product: Path

    @property
    def record(self) -> Path:
        """Beside the product: the command that made it."""
        return self.product.with_name(f".{self.product.name.lstrip('.')}.command")

    def check(self) -> None:
        """Refuses a product of another command.

        Raises:
            InputError: its options were others.
        """
        if self.record.exists() and self.record.read_text() != shlex.join(self.words):
            raise InputError(
                f"{self.product}: made by another command (it is in {self.record.name}, beside "
                "it); choose another folder, or delete it to have it made anew"
            )


def on_device(stages: Sequence[Sequence[Step]], device: str | None) -> list[list[Step]]:
    """The same commands on a device, those that make recordings excepted; as they are without."""
    if device is None:
        return [list(stage) for stage in stages]
    return [
        [
            step
            if step.words[0].startswith("data.")
            else replace(step, words=(*step.words, "--device", device))
            for step in stage
        ]
        for stage in stages
    ]


def _start(step: Step, line: int) -> subprocess.Popen:
    environment = os.environ | {
        # Two steps side by side on a core each beat one step on both.
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "OPENCV_LOG_LEVEL": "ERROR",
        "TQDM_POSITION": str(line),
    }
    step.record.parent.mkdir(parents=True, exist_ok=True)
    step.record.write_text(shlex.join(step.words))
    sys.stderr.write(f"\n== {step.title}\n   python -m {' '.join(step.words)}\n")
    return subprocess.Popen([sys.executable, "-m", *step.words], env=environment)


def require_runnable(
    seeds: Sequence[int], at_once: int, recordings: Sequence[Path], test: Sequence[Path]
) -> None:
    """What a table would else find out after everything has been trained.

    Args:
        seeds: a training each.
        at_once: commands at a time.
        recordings, test: what is learnt from, and judged on.

    Raises:
        InputError: one of them is of no use, missing, or learnt from and judged on.
    """
    words = " ".join(map(str, seeds))
    if not seeds or at_once < 1:
        raise InputError(f"--seeds {words}, --at-once {at_once}: at least one of each")
    if len(set(seeds)) < len(seeds):
        raise InputError(f"--seeds {words}: one of them twice")
    unseen = {recording.content_hash: recording for recording in load_recordings(test)}
    for stored in list_recordings(recordings):
        known = unseen.get(stored.load().content_hash)
        if known is not None:
            raise InputError(f"--test: {known.name} is among --recordings; judge on another one")


def carry_out(stages: Sequence[Sequence[Step]], at_once: int | None = None) -> dict[str, float]:
    """Runs what is not there yet; returns the seconds each title took.

    Args:
        stages: one after the other; the steps of a stage run side by side.
        at_once: how many steps, at most; all of a stage if not given.

    Raises:
        InputError: a command failed; what is done stays, so running again goes on from there.  Or
            something there was made with other options.
    """
    # The last stage is made anew whenever something before it is; nothing else may differ.
    for step in (step for stage in stages[:-1] for step in stage if step.product.exists()):
        step.check()
    seconds: dict[str, float] = {}
    for number, stage in enumerate(stages):
        todo = [step for step in stage if not step.product.exists()]
        for step in stage:
            if step not in todo:
                step.check()
                sys.stderr.write(f"== {step.title}: done already\n")
        if not todo:
            continue
        # Whatever was made from older products is stale, also if this run is interrupted.
        for later in (step for stage in stages[number + 1 :] for step in stage):
            later.product.unlink(missing_ok=True)
            later.record.unlink(missing_ok=True)
        seconds |= _side_by_side(todo, at_once or len(todo))
    return seconds


def _side_by_side(steps: Sequence[Step], at_once: int) -> dict[str, float]:
    """Runs steps at the same time; if one fails or we are stopped, the others are stopped, too."""
    waiting, running = list(steps), {}
    seconds: dict[str, float] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                step = waiting.pop(0)
                line = min(set(range(at_once)) - {line for _, line, _ in running.values()})
                running[step] = _start(step, line), line, time.monotonic()
            time.sleep(0.2)
            for step, (process, _, began) in list(running.items()):
                if process.poll() is None:
                    continue
                if process.returncode != 0:
                    raise InputError(
                        f"'{step.title}' failed (see above); run the same command again to go on"
                    )
                del running[step]
                step.product.touch()
                seconds[step.title] = round(time.monotonic() - began, 1)
        return seconds
    finally:
        for process, _, _ in running.values():
            process.terminate()
        for process, _, _ in running.values():
            process.wait()
