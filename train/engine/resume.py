"""The state of a training run, and the files of its run directory that hold it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ppuu.runtime.checkpoint import BEST_FILE_NAME, FILE_NAME, Checkpoint
from ppuu.runtime.config import differences
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write

from .average import MovingAverage
from .early_stop import EarlyStop
from .loop_config import FREE, LoopConfig


class Progress:
    """Weights, their average, optimiser, best validation; restored if the directory has them.

    Nothing random is kept: noise is a function of the batch's number (``batch_seed``).

    Args:
        out: run directory.
        kind: what the checkpoint holds.
        config: JSON values that make this run what it is.
        loop: budget and schedule.
        module: what is trained.

    Attributes:
        out: run directory.
        step: updates done.
        parameters: what the optimiser (Adam) changes.

    Raises:
        InputError: the directory holds a run with another configuration, or of another kind.
    """

    def __init__(
        self, out: Path, kind: str, config: Mapping[str, Any], loop: LoopConfig, module: nn.Module
    ):
        self.out, self._kind, self._config = out, kind, dict(config)
        self._module, self._loop = module, loop
        self.step = 0
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=loop.learning_rate)
        self._early_stop = EarlyStop(loop.patience)
        self._average = MovingAverage(module, loop.average) if loop.average else None
        if (out / FILE_NAME).is_file():
            self._restore(Checkpoint.load(out, kind))

    def _restore(self, checkpoint: Checkpoint) -> None:
        _refuse_another_run(self.out, self._config, checkpoint.config)
        checkpoint.restore(self._module, self.out)
        if self._average is not None:
            self._average.load_state_dict(checkpoint.model)
            self._module.load_state_dict(checkpoint.training["weights"])
        self.optimizer.load_state_dict(checkpoint.training["optimizer"])
        self._early_stop.load_state_dict(checkpoint.training["early_stop"])
        self.step = checkpoint.step

    @property
    def over(self) -> bool:
        """The budget or patience is used up."""
        return self.step >= self._loop.updates or self._early_stop.over

    @property
    def learning_rate(self) -> float:
        """Of the last update."""
        return self.optimizer.param_groups[0]["lr"]

    def advance(self) -> None:
        """Takes the optimiser's step, and the average's."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._loop.learning_rate * self._loop.rate(self.step)
        self.optimizer.step()
        self.step += 1
        if self._average is not None:
            self._average.update(self.step)

    def improved(self, loss: float) -> bool:
        """Records a validation loss; whether it is the best so far."""
        return self._early_stop.improved(loss, self.step)

    def begin(self) -> None:
        """Prepares the directory: writes the configuration, cuts the log."""
        self.out.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.out / "config.json") as temporary:
            temporary.write_text(json.dumps(self._config, indent=2) + "\n")
        _cut_log(self.out / "log.jsonl", self.step)

    def save(self) -> None:
        """``checkpoint.pt``: evaluation's weights (the average, if there is one) and the rest."""
        training = {
            "optimizer": self.optimizer.state_dict(),
            "early_stop": self._early_stop.state_dict(),
        }
        if self._average is not None:
            training["weights"] = self._module.state_dict()
        self._checkpoint(training).save(self.out / FILE_NAME)

    def save_best(self) -> None:
        """``best.pt``: what was best on the validation split, for evaluation alone."""
        self._checkpoint({}).save(self.out / BEST_FILE_NAME)

    def _checkpoint(self, training: dict[str, Any]) -> Checkpoint:
        evaluated = self._module if self._average is None else self._average
        return Checkpoint(self._kind, self._config, evaluated.state_dict(), self.step, training)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The module as evaluation gets it: averaged, without dropout, the same noise each time."""
        torch.manual_seed(self._loop.seed)
        self._module.eval()
        averaged = nullcontext() if self._average is None else self._average.in_place()
        try:
            with torch.no_grad(), averaged:
                yield
        finally:
            self._module.train()


def _refuse_another_run(out: Path, ours: dict, theirs: dict) -> None:
    free = tuple(f"loop.{name}:" for name in FREE)
    changed = [d for d in differences(ours, theirs) if not d.startswith(free)]
    if changed:
        raise InputError(
            f"{out}: holds a run with another configuration ({changed[0]}); "
            "choose another --out, or delete that directory"
        )


def _cut_log(path: Path, step: int) -> None:
    """Drops lines that a crashed run wrote after its last checkpoint."""
    if path.is_file():
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    kept = json.loads(line)["step"] <= step
                except json.JSONDecodeError:
                    continue  # torn
                if kept:
                    file.write(line + "\n")
