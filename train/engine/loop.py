"""The training loop every recipe runs in: update, log, validate, save, resume, stop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ppuu.objectives import Terms
from ppuu.runtime.errors import InputError
from ppuu.runtime.provenance import RunRecord

from . import distributed
from .interruption import Interruption
from .journal import Journal
from .loop_config import LoopConfig
from .precision import configured_loss
from .resume import Progress
from .stopwatch import Stopwatch

_NONE = -1
"""No update has failed."""

Selection = TypeVar("Selection")
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Recipe(Generic[Selection, Batch]):
    """What one update consists of.

    Attributes:
        select: which clips a batch holds, from its number; loads them if necessary.
        draw: inputs and targets of these clips; a generator for what is random.
        loss: what is minimised, given those and the same generator.
        validate: a loss on the validation split, if there is one.
        pictures: of the module's predictions, ``(3, rows, columns)`` in [0, 1], by name.
        diagnostics: numbers that are logged beside the loss's terms.
        batch: clips of a batch.
    """

    select: Callable[[int], Selection]
    draw: Callable[[Selection, torch.Generator], Batch]
    loss: Callable[[Batch, torch.Generator], Terms]
    validate: Callable[[], float] | None = None
    pictures: Callable[[Selection], Mapping[str, Tensor]] | None = None
    diagnostics: Callable[[Selection], Mapping[str, float]] | None = None
    batch: int = field(kw_only=True)


def train(
    out: Path,
    kind: str,
    config: Mapping[str, Any],
    loop: LoopConfig,
    module: nn.Module,
    recipe: Recipe,
    name: str,
) -> None:
    """Minimises the loss until the budget is used up; continues where a run stopped.

    A resumed run equals an uninterrupted one bit for bit on the CPU: weights, their average,
    optimiser and validations are saved together; learning rate, clips and noise are functions of
    the update's number.  Batches are numbered consecutively: an update takes ``accumulate`` of them
    on each rank, so several ranks give the same result as accumulation.

    Args:
        out: run directory: ``config.json``, ``checkpoint.pt`` (last), ``best.pt`` (best on the
            validation split), ``run.json``, ``log.jsonl``, TensorBoard events.
        kind: what the checkpoint holds.
        config: JSON values that make this run what it is (configuration, data, world model); an
            existing run with others is refused.
        loop: budget, schedule and machinery.
        module: what is trained, and saved.
        recipe: an update.
        name: of what is trained, for messages and the progress bar.

    Raises:
        InputError: the directory holds a run with another configuration, a loss or gradient is not
            finite, SIGTERM stopped the process, or another rank is lost.
    """
    identity = dict(config) | {"batches_per_update": loop.accumulate * distributed.ranks()}
    progress = Progress(out, kind, identity, loop, module)
    record = RunRecord(out)
    training = _Training(progress, loop, recipe, configured_loss(recipe.loss, module, loop), record)
    distributed.require_agreement(module, progress.step)
    if progress.over:
        if distributed.first():
            sys.stderr.write(f"{name}: {out} is trained already ({progress.step} updates)\n")
        return
    if distributed.first():
        progress.begin()
        record.start(identity, progress.step)
    module.train()
    clips_per_update = identity["batches_per_update"] * recipe.batch
    with Journal(
        out, name, identity, (progress.step, loop.updates), clips_per_update,
        record.seconds, silent=not distributed.first(),
    ) as journal:  # fmt: skip
        training.run(journal)
    distributed.barrier()
    if distributed.first():
        sys.stderr.write(f"{name}: {out} has {progress.step} updates\n")


def batch_seed(seed: int, number: int) -> int:
    """Seed of a batch's noise: it depends on the batch's number alone, not on ranks or resumes."""
    return int(np.random.SeedSequence([seed % 2**64, number]).generate_state(1, np.uint64)[0])


class _Training:
    """The updates of a run, from where its progress stands.

    Args:
        progress: the state of the run.
        loop: budget, schedule and machinery.
        recipe: an update.
        loss: the recipe's, computed as the configuration asks.
        record: of the run's time.
    """

    def __init__(
        self,
        progress: Progress,
        loop: LoopConfig,
        recipe: Recipe,
        loss: Callable[[Any, torch.Generator], Terms],
        record: RunRecord,
    ):
        if loop.validate_every and recipe.validate is None:
            raise InputError("--loop.validate-every: this recipe has nothing to validate on")
        self._progress, self._loop, self._recipe, self._loss = progress, loop, recipe, loss
        self._watch, self._generator = Stopwatch(loop.profile), torch.Generator()
        self._record, self._failed = record, torch.tensor(_NONE)

    def run(self, journal: Journal) -> None:
        """Updates until the budget or patience is used up, or SIGTERM arrives."""
        progress, saved_at = self._progress, time.monotonic()
        with Interruption() as interruption:
            while not progress.over:
                update = self._update()
                with self._saved_if_alone(whole=not self._due(self._loop.validate_every)):
                    self._report(journal, *update)
                due = time.monotonic() - saved_at > self._loop.save_every_s
                if distributed.first() and (due or progress.over or interruption.requested):
                    self._require_finite()
                    progress.save()
                    self._record.save(progress.step, journal.seconds)
                    saved_at = time.monotonic()
                if interruption.requested and not progress.over:
                    raise InputError(
                        f"{progress.out}: stopped by SIGTERM; update {progress.step} is "
                        "saved; run the same command again to continue"
                    )

    @contextmanager
    def _saved_if_alone(self, whole: bool = True) -> Iterator[None]:
        """Saves the progress if another rank is lost meanwhile.

        Args:
            whole: the update is complete; a resumed run would not repeat what is missing.
        """
        try:
            yield
        except distributed.RankLostError:
            if distributed.first() and whole and int(self._failed) == _NONE:
                self._progress.save()
            raise

    def _require_finite(self) -> None:
        """Refuses to log or save non-finite weights; waits for the device.

        Raises:
            InputError: an update since the last checkpoint had a loss or gradient that is not
                finite.
        """
        failed = int(self._failed)
        if failed != _NONE:
            raise InputError(
                f"{self._progress.out}: loss or gradient of update {failed} is not finite; the "
                "last checkpoint, if any, is intact; train again with a lower --loop.learning-rate "
                "into another --out (world models can --start-from this one)"
            )

    def _update(self) -> tuple[list[Terms], Tensor, Any]:
        """One step of the optimiser.

        Returns:
            The terms of this rank's batches, the gradient's norm, and the clips of the last batch.
        """
        progress, loop, watch = self._progress, self._loop, self._watch
        progress.optimizer.zero_grad(set_to_none=True)
        batch_terms, selection = [], None
        for turn in range(loop.accumulate):
            turn += progress.step * loop.accumulate
            number = turn * distributed.ranks() + distributed.rank()
            watch.start()
            torch.manual_seed(batch_seed(loop.seed, number))
            self._generator.manual_seed(batch_seed(loop.seed, number))
            selection = self._recipe.select(number)
            watch.lap("data")
            batch = self._recipe.draw(selection, self._generator)
            watch.lap("raster")
            terms = self._loss(batch, self._generator)
            watch.lap("forward")
            (terms.total / loop.accumulate).backward()
            watch.lap("backward")
            batch_terms.append(terms)
        with self._saved_if_alone():  # nothing of this update has been taken yet
            distributed.average_gradients(progress.parameters)
        watch.lap("exchange")
        norm = nn.utils.clip_grad_norm_(progress.parameters, loop.clip_norm)
        losses = (terms.total.detach().float() for terms in batch_terms)
        finite = torch.stack([norm, *losses]).isfinite()
        # Read when something is logged or saved: reading makes the processor wait for a GPU.
        known = self._failed.to(norm.device)
        self._failed = torch.where(finite.all() | (known != _NONE), known, progress.step)
        progress.advance()
        watch.lap("optimizer")
        return batch_terms, norm, selection

    def _report(self, journal: Journal, terms: list[Terms], norm: Tensor, selection: Any) -> None:
        """Validation, log and pictures, where they are due."""
        progress, loop = self._progress, self._loop
        values = {}
        if self._due(loop.validate_every) or self._due(loop.log_every):
            self._require_finite()
        if self._due(loop.validate_every) and self._recipe.validate is not None:
            with progress.evaluating():
                values = distributed.mean({"validation_loss": self._recipe.validate()})
            if progress.improved(values["validation_loss"]) and distributed.first():
                progress.save_best()
        if values or self._due(loop.log_every):
            values = mean_terms(terms) | {"gradient_norm": norm.item()} | values
            values["learning_rate"] = progress.learning_rate
            if self._recipe.diagnostics is not None:
                with progress.evaluating():
                    values |= distributed.mean(self._recipe.diagnostics(selection))
            journal.scalars(progress.step, values, self._watch.shares())
        if self._due(loop.pictures_every) and self._recipe.pictures is not None:
            with progress.evaluating():
                journal.pictures(progress.step, self._recipe.pictures(selection))
        journal.update(progress.step, terms[-1].total, progress.learning_rate)

    def _due(self, every: int) -> bool:
        """Whether something periodic is due: also after the last update; a period of 0 is never."""
        done = self._progress.step
        return every > 0 and (done % every == 0 or done == self._loop.updates)


def mean_terms(terms: list[Terms]) -> dict[str, float]:
    """The mean of each term over all batches of an update, those of other ranks included."""
    parts = [one.scalars() for one in terms]
    return distributed.mean({key: sum(p[key] for p in parts) / len(parts) for key in parts[0]})
