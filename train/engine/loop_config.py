"""Budget, schedule and numerical precision of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from ppuu.runtime.errors import InputError

FREE = (
    "updates", "save_every_s", "log_every", "pictures_every", "validate_every", "patience",
    "accumulate", "profile",
)  # fmt: skip
"""Fields that a resumed run may change.  Of these only ``updates`` touches what an update does: the
cosine of the learning rate is stretched, so a continued run differs from one that was as long from
the start.  For ``accumulate``, its product with the number of ranks is compared by itself."""


@dataclass(frozen=True)
class LoopConfig:
    """Budget, schedule and implementation of the loop.

    Attributes:
        updates: optimiser steps in all; a larger number continues a finished run.
        learning_rate: peak, reached after the warm-up.
        schedule: after the peak, the rate follows a cosine or stays constant.
        warmup_updates: of the linear rise to the peak.
        final_share: fraction of the peak at the cosine's end.
        clip_norm: largest norm of the gradient.
        accumulate: batches whose gradients are averaged into one update, on each process.
        average: decay of the moving average of the weights, which evaluation then gets; 0 is none.
        precision: of the forward pass; bfloat16 is autocast, weights stay float32.
        compile: compile the parts of the network with torch.compile.
        channels_last: memory layout of convolutions.
        validate_every: updates between losses on the validation split; 0 is never.
        validation_batches: batches of each such loss, always the same.
        patience: validations without a better one that end the training; 0 is never.
        pictures_every: updates between pictures in TensorBoard; 0 is never.
        save_every_s: seconds between checkpoints.
        log_every: updates between lines of the log.
        profile: log where the time goes; a GPU is then waited for after every part of an update.
        seed: of initialisation, order of clips, latents and dropout.
    """

    updates: Annotated[int, tyro.conf.arg(prefix_name=False)] = 1000
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_updates: int = 20
    final_share: float = 0.05
    clip_norm: float = 1.0
    accumulate: int = 1
    average: float = 0.0
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    channels_last: bool = False
    validate_every: int = 0
    validation_batches: int = 8
    patience: int = 0
    pictures_every: int = 0
    save_every_s: float = 30.0
    log_every: int = 10
    profile: bool = False
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
        if min(self.accumulate, self.validation_batches) < 1 or not 0.0 <= self.average < 1.0:
            raise InputError(
                f"loop: accumulate {self.accumulate} and validation_batches "
                f"{self.validation_batches} must be positive, average {self.average} from 0 to "
                "below 1"
            )
        if not 0.0 <= self.final_share <= 1.0:
            raise InputError(f"loop: final_share {self.final_share} of the peak: from 0 to 1")
        if min(self.validate_every, self.patience, self.pictures_every) < 0:
            raise InputError("loop: validate_every, patience and pictures_every: 0 or more")
        if self.patience and not self.validate_every:
            raise InputError(
                f"loop: patience {self.patience} needs validations; set validate_every, too"
            )

    def rate(self, update: int) -> float:
        """Learning rate of an update, as a fraction of the peak."""
        if update < self.warmup_updates:
            return (update + 1) / self.warmup_updates
        if self.schedule == "constant":
            return 1.0
        progress = (update - self.warmup_updates) / max(1, self.updates - self.warmup_updates)
        cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        return self.final_share + (1 - self.final_share) * cosine
