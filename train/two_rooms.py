"""``python -m train.two_rooms``: embeddings of two rooms and a door, to plan in.

A small form of the study of PLDM (2502.14819).  Every run (variant, seed) is trained on its own
random walks; the same command goes on where it stopped.  ``python -m eval.two_rooms`` plans.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn

from data.toys.rooms import SIDE, Rooms, RoomsConfig, draw_rooms
from ppuu.encoders import (
    ConvConfig,
    GruConfig,
    JepaNetwork,
    JepaNetworkConfig,
    VectorHead,
    as_locations,
)
from ppuu.encoders.diagnostics import network_diagnostics, triggered_warnings
from ppuu.encoders.regularizers import (
    InverseDynamics,
    VicRegConfig,
    time_similarity,
)
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.command import run
from ppuu.runtime.config import to_json
from ppuu.runtime.device import seed_everything
from ppuu.runtime.errors import InputError, require_not_negative
from ppuu.runtime.provenance import RunRecord, source_commit

from .engine.one_cycle import descend

Variant = Literal[
    "full", "no-variance", "no-temporal-variance", "no-covariance", "no-time-similarity",
    "no-inverse-dynamics", "random",
]  # fmt: skip
"""Which term of the objective is left out; ``random`` is not trained."""


@dataclass(frozen=True)
class Training:
    """Its scale and objective.

    Attributes:
        rooms: the walks.
        jepa: encoder and predictor.
        vicreg: the objective; weights near those of PLDM for its maze and rooms, where covariances
            are summed over pairs.
        time_similarity: weight of the squared step from one embedding to the next.
        inverse_dynamics: weight of predicting the action from two embeddings.
        updates, batch: of training; every walk is new.
        learning_rate: peak of Adam's one-cycle schedule.
    """

    rooms: RoomsConfig = field(default_factory=RoomsConfig)
    jepa: JepaNetworkConfig = field(
        default_factory=lambda: JepaNetworkConfig(
            ConvConfig((8, 16, 32), 3, "batch"), VectorHead(64), GruConfig(), norm="layer"
        )
    )
    vicreg: VicRegConfig = field(
        default_factory=lambda: VicRegConfig(
            prediction=1.0, variance=4.0, covariance=7.0, normalization="pairs",
            temporal_variance=2.0,
        )
    )  # fmt: skip
    time_similarity: float = 0.1
    inverse_dynamics: float = 5.0
    updates: Annotated[int, tyro.conf.arg(prefix_name=False)] = 1200
    batch: int = 64
    learning_rate: float = 3e-3

    def __post_init__(self):
        if self.updates < 0 or self.batch < 2 or self.rooms.steps < 2:
            raise InputError(
                f"training: updates {self.updates} must not be negative, batch {self.batch} and "
                f"rooms.steps {self.rooms.steps} 2 or more"
            )
        require_not_negative(
            "training", time_similarity=self.time_similarity, inverse_dynamics=self.inverse_dynamics
        )
        if not self.learning_rate > 0:
            raise InputError(f"--training.learning-rate {self.learning_rate}: must be positive")


def without(training: Training, variant: Variant) -> Training:
    """The variant's objective."""
    vicreg = training.vicreg
    changed = {
        "no-variance": {"vicreg": replace(vicreg, variance=0.0, temporal_variance=0.0)},
        "no-temporal-variance": {"vicreg": replace(vicreg, temporal_variance=0.0)},
        "no-covariance": {"vicreg": replace(vicreg, covariance=0.0)},
        "no-time-similarity": {"time_similarity": 0.0},
        "no-inverse-dynamics": {"inverse_dynamics": 0.0},
        "random": {"updates": 0},
    }  # fmt: skip
    return replace(training, **changed.get(variant, {}))


class Learner(nn.Module):
    """A joint-embedding network and its objective."""

    def __init__(self, training: Training):
        super().__init__()
        self.training_config = training
        self.jepa = JepaNetwork(training.jepa, 2, SIDE, SIDE, 2)
        width = self.jepa.features * self.jepa.grid[0] * self.jepa.grid[1]
        self.regularizer = training.vicreg.build(self.jepa.projected_features)
        self.inverse = InverseDynamics(width, 2)

    def forward(self, seen: Rooms) -> Float[Tensor, ""]:
        """The loss."""
        model, config = self.jepa, self.training_config
        targets = model.targets(seen.images)
        online = model.online(seen.images, targets)
        states = model.unroll(online[:, 0], seen.actions)
        loss = self.regularizer(model.project(states, targets, online)).total
        loss = loss + config.time_similarity * time_similarity(as_locations(online))
        if config.inverse_dynamics:
            read = self.inverse(as_locations(online), seen.actions)
            loss = loss + config.inverse_dynamics * read
        return loss


def trained(training: Training, seed: int) -> Learner:
    """A learner after its updates."""
    seed_everything(seed)
    learner = Learner(training)
    if not training.updates:
        return learner
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Float[Tensor, ""]:
        learner.jepa.ema_update()
        return learner(draw_rooms(training.rooms, training.batch, generator))

    descend(learner, loss, training.updates, training.learning_rate)
    seen = draw_rooms(training.rooms, training.batch, generator)
    names = triggered_warnings(network_diagnostics(learner.eval().jepa, seen.images, seen.actions))
    if names:
        sys.stderr.write(f"warning: {', '.join(names)}\n")
    return learner


def main(
    out: Path,
    variants: tuple[Variant, ...] = ("full", "no-variance", "no-inverse-dynamics"),
    seeds: tuple[int, ...] = (0, 1, 2),
    training: Training = Training(),
) -> None:
    """Trains every variant; run again to go on.

    Args:
        out: folder of a run directory each.
        variants: full, no-variance, no-temporal-variance, no-covariance, no-time-similarity,
            no-inverse-dynamics, random.
        seeds: one training each.
        training: the scale.
    """
    if not seeds:
        raise InputError("--seeds: give at least one")
    torch.set_num_threads(1)
    for seed in seeds:
        for variant in variants:
            _run(out / f"{variant}-seed{seed}", variant, without(training, variant), seed)


def _run(where: Path, variant: Variant, training: Training, seed: int) -> None:
    """One run, unless it is there."""
    config = {"variant": variant, "seed": seed, "training": to_json(training)}
    if (where / FILE_NAME).is_file():
        if Checkpoint.load(where, "rooms").config["training"] != config["training"]:
            raise InputError(f"{where}: from another scale; choose another --out")
        return
    began = time.process_time()
    learner = trained(training, seed)
    seconds = round(time.process_time() - began, 1)
    config |= {"train_cpu_s": seconds, "commit": source_commit()}
    weights = learner.jepa.state_dict()
    where.mkdir(parents=True, exist_ok=True)
    record = RunRecord(where)
    record.start(config)
    record.save(training.updates, seconds)
    Checkpoint("rooms", config, weights, training.updates, {}).save(where / FILE_NAME)
    sys.stdout.write(f"{where.name}: {seconds:.0f} s\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
