"""What training tells: a progress bar, ``log.jsonl`` and TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm


class Journal:
    """Writes to a run directory while its context lasts.

    Args:
        out: the directory.
        describe: the progress bar's words.
        step: updates done before.
        updates: in all.
        silent: write nothing: another rank does.
    """

    def __init__(self, out: Path, describe: str, step: int, updates: int, silent: bool):
        self._silent, self._began = silent, time.monotonic()
        self._open = ExitStack()
        if not silent:
            hidden = not sys.stderr.isatty()
            bar = tqdm(total=updates, initial=step, desc=describe, disable=hidden)
            self._bar = self._open.enter_context(bar)
            self._board = self._open.enter_context(SummaryWriter(str(out), purge_step=step))
            self._log = self._open.enter_context((out / "log.jsonl").open("a", encoding="utf-8"))

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_) -> None:
        self._open.close()

    def update(self) -> None:
        """One update more is done."""
        if not self._silent:
            self._bar.update()

    def scalars(self, step: int, values: Mapping[str, float], shares: Mapping[str, float]) -> None:
        """A line of the log.

        Args:
            step: updates done.
            values: named terms.
            shares: where the time went since the last line.
        """
        if self._silent:
            return
        line = {"step": step, "seconds": round(time.monotonic() - self._began, 2)}
        line["time_shares"] = dict(shares)
        self._log.write(json.dumps(line | dict(values)) + "\n")
        self._log.flush()
        timed = {f"time_share/{part}": share for part, share in shares.items()}
        for key, value in (dict(values) | timed).items():
            self._board.add_scalar(key, value, step)
        self._bar.set_postfix_str(f"loss {values['loss']:.4g}")

    def pictures(self, step: int, pictures: Mapping[str, Float[Tensor, "3 rows columns"]]) -> None:
        """Pictures in TensorBoard, values in [0, 1]."""
        if not self._silent:
            for key, picture in pictures.items():
                self._board.add_image(key, picture.cpu(), step)
