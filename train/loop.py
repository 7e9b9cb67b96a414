"""The training loop every recipe runs in: log, save, resume, stop."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ppuu.checkpoint import FILE_NAME, Checkpoint
from ppuu.config import differences
from ppuu.errors import InputError
from ppuu.objectives import Terms

from .stopwatch import Stopwatch

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast.

    Attributes:
        updates: optimiser steps in all; a finished run is taken further by a larger number.
        learning_rate: peak, reached after the warm-up and left along a cosine.
        warmup_updates: linear rise.
        final_share: share of the peak at the end.
        clip_norm: largest norm of the gradient.
        save_every_s: seconds between checkpoints.
        log_every: updates between lines of the log.
        seed: of initialisation, clip order, latents and dropout.
    """

    updates: int = 1000
    learning_rate: float = 1e-3
    warmup_updates: int = 20
    final_share: float = 0.05
    clip_norm: float = 1.0
    save_every_s: float = 30.0
    log_every: int = 10
    seed: int = 0

    def __post_init__(self):
        if self.warmup_updates < 0 or self.save_every_s < 0 or not self.clip_norm > 0:
            raise InputError(
                f"loop: warmup_updates {self.warmup_updates} and save_every_s {self.save_every_s} "
                f"must not be negative, clip_norm {self.clip_norm} positive"
            )
        if self.updates < 1 or self.log_every < 1 or not self.learning_rate > 0:
            raise InputError(
                f"loop of {self.updates} updates, logged every {self.log_every}, learning rate "
                f"{self.learning_rate}: all must be positive"
            )

    def rate(self, update: int) -> float:
        """Learning rate of an update, as a share of the peak."""
        if update < self.warmup_updates:
            return (update + 1) / self.warmup_updates
        progress = (update - self.warmup_updates) / max(1, self.updates - self.warmup_updates)
        cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return self.final_share + (1 - self.final_share) * cosine


def train(
    out: Path,
    kind: str,
    config: Mapping[str, Any],
    loop: LoopConfig,
    module: nn.Module,
    draw: Callable[[int, torch.Generator], Drawn],
    loss: Callable[[Drawn], Terms],
    describe: str,
) -> None:
    """Draws data and lowers the loss until the budget is used up; goes on where a run stopped.

    A resumed run equals an uninterrupted one bit for bit on the CPU: weights, optimiser and all
    random states are saved together; learning rate and clips are functions of the update's number.

    Args:
        out: run directory: ``config.json``, ``checkpoint.pt``, ``log.jsonl``, TensorBoard events.
        kind: what the checkpoint holds.
        config: JSON values that make this run what it is (configuration, data, world model); an
            existing run with others is refused.
        loop: budget and schedule.
        module: what is trained, and saved.
        draw: the data of an update, from its number, which decides the clips, and a generator.
        loss: what to lower, given that data.
        describe: the progress bar's words.

    Raises:
        InputError: the directory holds a run with another configuration, or the loss became NaN.
    """
    written = dict(config)
    optimizer = torch.optim.Adam(
        [p for p in module.parameters() if p.requires_grad], lr=loop.learning_rate
    )
    generator = torch.Generator().manual_seed(loop.seed)
    start = 0
    if (out / FILE_NAME).is_file():
        checkpoint = Checkpoint.load(out, kind)
        _refuse_another_run(out, written, checkpoint.config)
        checkpoint.restore(module, out)
        optimizer.load_state_dict(checkpoint.training["optimizer"])
        generator.set_state(checkpoint.training["generator"])
        torch.set_rng_state(checkpoint.training["torch"])
        if torch.cuda.is_available() and checkpoint.training["cuda"]:
            torch.cuda.set_rng_state_all(checkpoint.training["cuda"])
        start = checkpoint.step
        _cut_log(out / "log.jsonl", start)
    if start >= loop.updates:
        sys.stderr.write(f"{describe}: {out} is trained already ({start} updates)\n")
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(written, indent=2) + "\n")

    def save(step: int) -> None:
        training = {
            "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        Checkpoint(kind, written, module.state_dict(), step, training).save(out / FILE_NAME)

    module.train()
    watch = Stopwatch()
    saved_at = began = time.monotonic()
    bar = tqdm(total=loop.updates, initial=start, desc=describe, disable=not sys.stderr.isatty())
    with (
        bar,
        SummaryWriter(str(out), purge_step=start) as board,
        open(out / "log.jsonl", "a", encoding="utf-8") as log,
    ):
        for number in range(start, loop.updates):
            for group in optimizer.param_groups:
                group["lr"] = loop.learning_rate * loop.rate(number)
            watch.start()
            drawn = draw(number, generator)
            watch.lap("draw")
            terms = loss(drawn)
            watch.lap("loss")
            optimizer.zero_grad(set_to_none=True)
            terms.total.backward()
            watch.lap("backward")
            norm = nn.utils.clip_grad_norm_(module.parameters(), loop.clip_norm)
            if not torch.isfinite(norm):
                raise InputError(
                    f"{out}: the gradient of update {number} is not finite; the last checkpoint "
                    "is intact; lower --loop.learning-rate and run again"
                )
            optimizer.step()
            watch.lap("optimizer")
            bar.update()
            done = number + 1
            if done % loop.log_every == 0 or done == loop.updates:
                scalars = terms.scalars() | {"gradient_norm": norm.item()}
                seconds, shares = time.monotonic() - began, watch.shares()
                line = {"step": done, "seconds": round(seconds, 2), "time_shares": shares}
                log.write(json.dumps(line | scalars) + "\n")
                log.flush()
                for key, value in scalars.items():
                    board.add_scalar(key, value, done)
                for part, share in shares.items():
                    board.add_scalar(f"time_share/{part}", share, done)
                bar.set_postfix_str(f"loss {scalars['loss']:.4g}")
            if time.monotonic() - saved_at > loop.save_every_s or done == loop.updates:
                save(done)
                saved_at = time.monotonic()


def _refuse_another_run(out: Path, ours: dict, theirs: dict) -> None:
    """Only the number of updates and how often to save and log may change between runs."""
    free = ("loop.updates", "loop.save_every_s", "loop.log_every")
    changed = [d for d in differences(ours, theirs) if not d.startswith(free)]
    if changed:
        raise InputError(
            f"{out}: holds a run with another configuration ({changed[0]}); "
            "choose another --out, or delete that directory"
        )


def _cut_log(path: Path, step: int) -> None:
    """Drops lines that a crashed run wrote after its last checkpoint."""
    if path.is_file():
        lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept))
