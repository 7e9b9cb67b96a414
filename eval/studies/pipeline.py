"""Runs the steps of a study: what is up to date stays, what was interrupted goes on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ppuu.runtime.checkpoint import FILE_NAME
from ppuu.runtime.errors import InputError

from .outcome import Outcome
from .records import Fingerprints, Record, changed_inputs, changed_settings
from .status_line import StatusLine
from .steps import Step

_LAST_LINES = 12
"""Of the log of a step that failed, shown at once."""
_POLL_S = 0.2


@dataclass(frozen=True)
class _Verdict:
    """Whether a step has to run.

    Attributes:
        runs: it does.
        reason: why, or why not.
        afresh: what it left earlier is of no use to it.
    """

    runs: bool
    reason: str
    afresh: bool = False


@dataclass
class _Running:
    process: subprocess.Popen
    record: Record
    began: float


class Pipeline:
    """Runs steps side by side, each as a process with a log of its own.

    A step runs after the steps that make its inputs. If it fails, those that need it are skipped
    and all others go on. It is up to date if its options, the content of its inputs and the code
    are those that its products were made with; times of files play no role. A training is kept when
    only the code has changed.

    Args:
        out: directory of the study; logs are kept in ``out/logs/NAME.log``.
        at_once: how many steps run at a time, each on one core.
        device: handed to the steps that take one; their own default if not given.

    Raises:
        InputError: ``at_once`` is below 1.
    """

    def __init__(self, out: Path, at_once: int = 1, device: str | None = None):
        if at_once < 1:
            raise InputError(f"--at-once {at_once}: must be positive")
        self.logs = out / "logs"
        self._at_once, self._device = at_once, device
        self._fingerprints = Fingerprints()

    def explain(self, steps: Sequence[Step]) -> str:
        """What ``run`` would do now: a line for each step, and the command of those that run.

        Raises:
            InputError: as ``run``.
        """
        self._refuse_other_options(steps)
        producers, lines, runs = _producers(steps), [], set[str]()
        for step in steps:
            needed = [path for path in step.inputs if _name(producers, path) in runs]
            verdict = self._judge(step)
            if needed and not verdict.runs:
                names = ", ".join(dict.fromkeys(producers[path].name for path in needed))
                verdict = _Verdict(True, f"unless {names} leaves the same input as before")
            if verdict.runs:
                runs.add(step.name)
            lines.append(f"{step.name}: {'run' if verdict.runs else 'keep'}, {verdict.reason}")
            if verdict.runs:
                lines.append(f"    {shlex.join(['python', *step.command(self._device)])}")
        return "\n".join(lines) + "\n"

    def run(self, steps: Sequence[Step]) -> Outcome:
        """Runs what is not up to date.

        Raises:
            InputError: a run directory was trained with other options; nothing has run then.
            KeyboardInterrupt: by Ctrl-C or SIGTERM; running steps are stopped first.
        """
        self._refuse_other_options(steps)
        outcome, producers = Outcome(), _producers(steps)
        waiting, running = list(steps), dict[str, _Running]()
        with _interruptible(running), StatusLine(self.logs) as line:
            while waiting or running:
                for step in list(waiting):
                    states = [
                        outcome.status.get(producers[path].name)
                        for path in step.inputs
                        if path in producers
                    ]
                    if "failed" in states or "skipped" in states:
                        outcome.status[step.name] = "skipped"
                        if step.run_directory is None:
                            _discard(step)
                        line.say(f"{step.name}: skipped, since a step that it needs failed")
                    elif None in states or len(running) >= self._at_once:
                        continue
                    elif not (verdict := self._judge(step)).runs:
                        outcome.status[step.name] = "up to date"
                        self._book(step, outcome)
                        line.say(f"{step.name}: {verdict.reason}")
                    else:
                        line.say(f"{step.name}: running, {verdict.reason}")
                        running[step.name] = self._start(step, verdict.afresh)
                    waiting.remove(step)
                line.show({name: one.began for name, one in running.items()})
                time.sleep(_POLL_S if running else 0)
                for step in [s for s in steps if s.name in running]:
                    if running[step.name].process.poll() is not None:
                        self._finish(step, running.pop(step.name), outcome, line)
        return outcome

    def _judge(self, step: Step) -> _Verdict:
        """Whether a step has to run, its inputs being there."""
        before = Record.load(Record.beside(step.products[0]))
        if before is None:
            return _Verdict(True, "not made yet")
        now = self._fingerprints.record(step, self._device)
        if settings := changed_settings(before, now):
            return _Verdict(True, settings, afresh=True)
        if inputs := changed_inputs(before, now):
            return _Verdict(True, f"inputs have changed: {inputs}", afresh=True)
        if before.seconds is None:
            return _Verdict(True, "begun, but not finished")
        if missing := [path.name for path in step.products if not path.is_file()]:
            return _Verdict(True, f"{missing[0]} is missing")
        if before.code == now.code:
            return _Verdict(False, "up to date")
        if step.run_directory is not None:
            return _Verdict(
                False, f"up to date, but for the code: trained at commit {before.commit[:12]}"
            )
        return _Verdict(True, "the code has changed", afresh=True)

    def _refuse_other_options(self, steps: Sequence[Step]) -> None:
        """Trainings are not thrown away because of a mistyped option.

        Raises:
            InputError: a run directory holds what was trained with other options.
        """
        for step in steps:
            before = Record.load(Record.beside(step.products[0]))
            if step.run_directory is None or before is None or not _trained(step.run_directory):
                continue
            changed = changed_settings(before, self._fingerprints.record(step, self._device))
            if changed:
                raise InputError(
                    f"{step.run_directory}: trained with other options ({changed}); choose "
                    "another --out, or delete that directory to train it again"
                )

    def _start(self, step: Step, afresh: bool) -> _Running:
        if afresh:
            _discard(step)
        record = self._fingerprints.record(step, self._device)
        record.save(Record.beside(step.products[0]))
        environment = os.environ | {
            # Two steps side by side on a core each beat one step on both.
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "OPENCV_LOG_LEVEL": "ERROR",
            "PYTHONUNBUFFERED": "1",
        }
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._log(step).open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(record.command)}\n")
            log.flush()
            process = subprocess.Popen(
                [sys.executable, *step.command(self._device)],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return _Running(process, record, time.monotonic())

    def _finish(self, step: Step, ended: _Running, outcome: Outcome, line: StatusLine) -> None:
        """Books a step whose process has ended."""
        seconds = round(time.monotonic() - ended.began, 1)
        self._fingerprints.forget(step.products)
        missing = [path for path in step.products if not path.is_file()]
        if ended.process.returncode == 0 and not missing:
            replace(ended.record, seconds=seconds).save(Record.beside(step.products[0]))
            outcome.status[step.name] = "done"
            self._book(step, outcome)
            line.say(f"{step.name}: done in {seconds:.0f} s")
            return
        outcome.status[step.name] = "failed"
        why = f"exit status {ended.process.returncode}"
        if ended.process.returncode == 0:
            why = f"it left no {missing[0]}"
        tail = self._log(step).read_text(errors="replace").splitlines()[-_LAST_LINES:]
        line.say(f"{step.name}: FAILED, {why}; the end of {self._log(step)}:")
        line.say("\n".join(f"    {text}" for text in tail))

    def _book(self, step: Step, outcome: Outcome) -> None:
        record = Record.load(Record.beside(step.products[0]))
        if record is not None and record.seconds is not None:
            outcome.seconds[step.name] = record.seconds

    def _log(self, step: Step) -> Path:
        return self.logs / f"{step.name}.log"


def _producers(steps: Sequence[Step]) -> dict[Path, Step]:
    """The step that makes each file."""
    return {path: step for step in steps for path in step.products}


def _name(producers: dict[Path, Step], path: Path) -> str | None:
    return producers[path].name if path in producers else None


def _discard(step: Step) -> None:
    """Removes what a step left: if it fails now, nothing stale may be taken for its result."""
    for path in (*step.products, Record.beside(step.products[0])):
        path.unlink(missing_ok=True)
    if step.run_directory is not None:
        shutil.rmtree(step.run_directory, ignore_errors=True)


def _trained(run_directory: Path) -> bool:
    """Whether there is any checkpoint, also of a part such as imitation before MPUR."""
    return any(run_directory.rglob(FILE_NAME))


@contextmanager
def _interruptible(running: dict[str, _Running]) -> Iterator[None]:
    """SIGTERM acts as Ctrl-C; whatever ends the block, running steps are stopped first."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        for one in running.values():
            one.process.terminate()
        for one in running.values():
            one.process.wait()
        signal.signal(signal.SIGTERM, before)
