"""What a training run reports: progress, ``log.jsonl`` and TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

_LINE_EVERY_S = 30.0


class Journal:
    """Writes to a run directory while its context lasts.

    On a terminal a bar shows the progress; without one, a line does, every 30 s.

    Args:
        out: the directory.
        name: of what is trained, for people.
        config: JSON values that make this run what it is; TensorBoard shows them as text.
        updates: done before, and in all.
        clips_per_update: on all processes together.
        seconds: of training before.
        silent: write nothing: another rank does.
    """

    def __init__(
        self,
        out: Path,
        name: str,
        config: Mapping[str, Any],
        updates: tuple[int, int],
        clips_per_update: int,
        seconds: float,
        silent: bool,
    ):
        done, self._updates = updates
        self._silent, self._name, self._clips_per_update = silent, name, clips_per_update
        self._seconds_before, self._began = seconds, time.monotonic()
        self._logged, self._printed = _Pace(done), _Pace(done)
        self._open = ExitStack()
        if not silent:
            self._terminal = sys.stderr.isatty()
            bar = tqdm(total=self._updates, initial=done, desc=name, disable=not self._terminal)
            self._bar = self._open.enter_context(bar)
            self._board = self._open.enter_context(SummaryWriter(str(out), purge_step=done))
            self._log = self._open.enter_context((out / "log.jsonl").open("a", encoding="utf-8"))
            # Indented text is code to TensorBoard's markdown.
            text = "\n".join(f"    {line}" for line in json.dumps(config, indent=2).splitlines())
            self._board.add_text("config", text, done)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_) -> None:
        self._open.close()

    @property
    def seconds(self) -> float:
        """Of training in all, those before this start included."""
        return self._seconds_before + time.monotonic() - self._began

    def update(self, done: int, loss: Float[Tensor, ""], learning_rate: float) -> None:
        """One update more is done.

        Args:
            done: updates in all.
            loss: of the last batch; its value is read only when it is printed.
            learning_rate: of the update.
        """
        if self._silent:
            return
        self._bar.update()
        if not self._terminal and self._printed.seconds >= _LINE_EVERY_S:
            updates_per_s = self._printed.restart(done)
            left = timedelta(seconds=round((self._updates - done) / updates_per_s))
            sys.stderr.write(
                f"{self._name}: update {done} of {self._updates}, loss {loss.item():.4g}, "
                f"{updates_per_s * self._clips_per_update:.3g} clips/s, "
                f"learning rate {learning_rate:.3g}, {left} left\n"
            )

    def scalars(
        self, done: int, values: Mapping[str, float], time_shares: Mapping[str, float]
    ) -> None:
        """A line of the log.

        Args:
            done: updates in all.
            values: named terms.
            time_shares: where the time went since the last line, if that was measured.
        """
        if self._silent:
            return
        values = dict(values)
        values["clips_per_s"] = self._logged.restart(done) * self._clips_per_update
        line: dict[str, Any] = {"step": done, "seconds": round(self.seconds, 2)}
        if time_shares:
            line["time_shares"] = dict(time_shares)
        self._log.write(json.dumps(line | values) + "\n")
        self._log.flush()
        timed = {f"time_share/{part}": share for part, share in time_shares.items()}
        for key, value in (values | timed).items():
            self._board.add_scalar(key, value, done)
        self._bar.set_postfix_str(f"loss {values['loss']:.4g}")

    def pictures(self, done: int, pictures: Mapping[str, Float[Tensor, "3 rows columns"]]) -> None:
        """Pictures in TensorBoard, values in [0, 1]."""
        if not self._silent:
            for key, picture in pictures.items():
                self._board.add_image(key, picture.cpu(), done)


class _Pace:
    """Updates per second since some update.

    Args:
        done: updates at the start.
    """

    def __init__(self, done: int):
        self._done, self._since = done, time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._since

    def restart(self, done: int) -> float:
        """Updates per second; starts again from here."""
        updates_per_s = (done - self._done) / max(self.seconds, 1e-9)
        self._done, self._since = done, time.monotonic()
        return updates_per_s
