"""``python -m train.slow_features``: what joint embeddings keep of moving dots before noise.

A small form of the study of 2211.10831.  Every cell (task, method, seed) is trained and
probed on its own and leaves a file; the same command goes on where it stopped.
``python -m eval.slow_features`` makes the table.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from data.toys.dots import SIDE, Dots, DotsConfig, draw_dots
from ppuu.encoders import ConvConfig, GruConfig, JepaNetwork, JepaNetworkConfig, VectorHead
from ppuu.encoders.diagnostics import network_diagnostics, triggered_warnings
from ppuu.encoders.linear_probe import least_squares_probe
from ppuu.encoders.regularizers import (
    InfoNceConfig,
    InverseDynamics,
    PixelDecoder,
    RegularizerConfig,
    VicRegConfig,
    prediction_error,
)
from ppuu.runtime.command import run
from ppuu.runtime.config import to_json
from ppuu.runtime.device import seed_everything
from ppuu.runtime.errors import InputError
from ppuu.runtime.files import atomic_write, read_json
from ppuu.runtime.provenance import source_commit

from .engine.one_cycle import descend

Method = Literal[
    "random", "vicreg", "simclr", "reconstruction", "inverse-dynamics", "supervised",
    "vicreg-temporal", "simclr-within", "vicreg-inverse-dynamics", "vicreg-differences",
]  # fmt: skip
"""Training objectives; the last four are counter-measures."""

TASKS = {
    "clean": DotsConfig(),
    "changing-uniform": DotsConfig(noise="uniform"),
    "fixed-uniform": DotsConfig(noise="uniform", fixed=True),
    "changing-structured": DotsConfig(noise="structured"),
    "fixed-structured": DotsConfig(noise="structured", fixed=True),
    "three-dots": DotsConfig(task="three"),
}
_PROBE_SEED = 10**6


@dataclass(frozen=True)
class Study:
    """Its scale.

    Attributes:
        updates, batch: of training; every sequence is new.
        steps: actions of a sequence.
        learning_rate: peak of Adam's one-cycle schedule.
        channels: of the encoder.
        features: of the embedding.
        vicreg, simclr: the objectives.
        probe_sequences, test_sequences: to fit and to test the linear probe.
    """

    updates: Annotated[int, tyro.conf.arg(prefix_name=False)] = 400
    batch: int = 64
    steps: int = 8
    learning_rate: float = 3e-3
    channels: tuple[int, ...] = (8, 16, 32)
    features: int = 64
    vicreg: VicRegConfig = field(default_factory=VicRegConfig)
    simclr: InfoNceConfig = field(default_factory=InfoNceConfig)
    probe_sequences: int = 2048
    test_sequences: int = 1024

    def __post_init__(self):
        if min(self.updates, self.probe_sequences, self.test_sequences) < 1:
            raise InputError(f"{self}: nothing may be zero")
        if min(self.batch, self.steps) < 2:
            raise InputError(
                f"--study.batch {self.batch}, --study.steps {self.steps}: sequences are compared, "
                "and times within them; two or more of each"
            )
        if not self.learning_rate > 0:
            raise InputError(f"--study.learning-rate {self.learning_rate}: must be positive")


class Learner(nn.Module):
    """A joint-embedding network and its training objective.

    Args:
        method: the teacher.
        study: sizes.
        dots: how many, and how many channels.
    """

    def __init__(self, method: Method, study: Study, dots: int):
        super().__init__()
        config = JepaNetworkConfig(
            ConvConfig(study.channels, len(study.channels), "batch"),
            VectorHead(study.features),
            GruConfig(),
        )
        self.jepa = JepaNetwork(config, dots, SIDE, SIDE, 2)
        self.method = method
        chosen = _regularizer(method, study)
        self.regularizer = None if chosen is None else chosen.build(study.features)
        self.pixel_decoder = self.inverse = self.position = None
        if method == "reconstruction":
            self.pixel_decoder = PixelDecoder(study.features, (1, 1), dots, SIDE, SIDE, width=8)
        if method.endswith("inverse-dynamics"):
            self.inverse = InverseDynamics(study.features, 2)
        if method == "supervised":
            self.position = nn.Linear(study.features, 2 * dots)

    def forward(self, dots: Dots) -> Float[Tensor, ""]:
        """The loss."""
        if self.pixel_decoder is None and self.position is None:
            return self._contrast(dots)
        model = self.jepa
        states = model.unroll(model.encode(dots.images[:, 0]), dots.actions)
        if self.pixel_decoder is not None:
            decoded = self.pixel_decoder(states.flatten(0, 1))
            return functional.mse_loss(decoded, dots.images.flatten(0, 1))
        assert self.position is not None
        return functional.mse_loss(self.position(states.flatten(2)), dots.positions.flatten(2))

    def _contrast(self, dots: Dots) -> Float[Tensor, ""]:
        """Losses that compare embeddings with those of other times and sequences."""
        model = self.jepa
        # Encoded once, all times together: the norm over the batch makes no difference, then.
        targets = model.targets(dots.images)
        unrolled = model.project(model.unroll(targets[:, 0], dots.actions), targets)
        loss = unrolled.target.new_zeros(())
        if self.regularizer is not None:
            loss = loss + self.regularizer(unrolled).total
        if self.inverse is not None:
            read = self.inverse(unrolled.target, dots.actions)
            alone = self.regularizer is None
            loss = loss + read * (1.0 if alone else 10.0)
            loss = loss + prediction_error(unrolled) if alone else loss
        return loss


def _regularizer(method: Method, study: Study) -> RegularizerConfig | None:
    if method.startswith("vicreg"):
        named = method == "vicreg-temporal"
        return replace(study.vicreg, temporal_variance=10.0) if named else study.vicreg
    if method.startswith("simclr"):
        named = method == "simclr-within"
        return replace(study.simclr, negatives="both") if named else study.simclr
    return None


def shown(method: Method, task: DotsConfig, batch: int, generator: torch.Generator) -> Dots:
    """Sequences as a method observes them: with ``differences``, of each image from the last.

    A pattern that stays cancels, and so does a dot that stands still.
    """
    if not method.endswith("differences"):
        return draw_dots(task, batch, generator)
    dots = draw_dots(replace(task, steps=task.steps + 1), batch, generator)
    return Dots(dots.images.diff(dim=1), dots.actions[:, 1:], dots.positions[:, 1:])


def trained(method: Method, task: DotsConfig, study: Study, seed: int) -> Learner:
    """A learner after its updates; ``random`` gets none."""
    seed_everything(seed)
    learner = Learner(method, study, task.dots)
    if method == "random":
        return learner
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Float[Tensor, ""]:
        return learner(shown(method, task, study.batch, generator))

    descend(learner, loss, study.updates, study.learning_rate)
    return learner


@torch.no_grad()
def probed(learner: Learner, task: DotsConfig, study: Study) -> dict[str, Any]:
    """Root mean square errors of one linear probe on all predicted embeddings.

    The probe is least squares on ``[z_0, zhat_1, ..., zhat_T]``, all unrolled from the first image.

    Returns:
        ``rmse``: of each dot's coordinates, over all times, in sides of the image; ``by_time``:
        likewise, over all dots; ``centre``: of the mean position as a constant; and diagnostics.
    """
    model, method = learner.jepa.eval(), learner.method

    def embeddings_and_positions(count: int, seed: int) -> tuple[Tensor, Tensor]:
        generator, parts = torch.Generator().manual_seed(seed), []
        for batch in torch.arange(count).split(256):
            dots = shown(method, task, len(batch), generator)
            states = model.unroll(model.encode(dots.images[:, 0]), dots.actions).flatten(2)
            parts.append((states, dots.positions.double()))
        states, positions = zip(*parts, strict=True)
        return torch.cat(states), torch.cat(positions)

    states, positions = embeddings_and_positions(study.probe_sequences, _PROBE_SEED)
    targets = positions.flatten(2).flatten(0, 1)
    probe = least_squares_probe(states.flatten(0, 1), targets)
    states, positions = embeddings_and_positions(study.test_sequences, _PROBE_SEED + 1)
    error = (probe(states.flatten(0, 1)).view_as(positions) - positions).square()
    mean = targets.mean(0).view(positions.shape[2:])
    return {
        "rmse": error.mean((0, 1, 3)).sqrt().tolist(),
        "by_time": error.mean((0, 2, 3)).sqrt().tolist(),
        "centre": (positions - mean).square().mean((0, 1, 3)).sqrt().tolist(),
        **_telemetry(learner, task),
    }


def _telemetry(learner: Learner, task: DotsConfig) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(_PROBE_SEED + 2)
    dots = shown(learner.method, task, 256, generator)
    values = network_diagnostics(learner.jepa, dots.images, dots.actions)
    named = {name: values[name] for name in ("temporal_ratio", "rank", "unexplained")}
    return named | {"warnings": triggered_warnings(values)}


def main(
    out: Path,
    tasks: tuple[str, ...] = tuple(TASKS),
    methods: tuple[Method, ...] = (
        "random",
        "vicreg",
        "simclr",
        "reconstruction",
        "inverse-dynamics",
        "supervised",
    ),
    strengths: tuple[float, ...] = (1.0,),
    seeds: tuple[int, ...] = (0, 1, 2),
    study: Study = Study(),
) -> None:
    """Trains and probes every task with every method; run again to go on.

    Args:
        out: folder of one file a cell.
        tasks: clean, changing-uniform, fixed-uniform, changing-structured, fixed-structured,
            three-dots.
        methods: what is trained.
        strengths: of the noise; a dot is 1 at its centre.
        seeds: one training each.
        study: the scale.
    """  # fmt: skip
    unknown = [name for name in tasks if name not in TASKS]
    if unknown:
        raise InputError(f"--tasks {' '.join(unknown)}: there are {', '.join(TASKS)}")
    if not (seeds and tasks and methods and strengths):
        raise InputError("--seeds, --tasks, --methods, --strengths: at least one of each")
    if not all(math.isfinite(strength) for strength in strengths):
        raise InputError(f"--strengths {' '.join(map(str, strengths))}: not all are finite")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for seed in seeds:
        for name in tasks:
            noisy = TASKS[name].noise != "none"
            for strength in strengths if noisy else (0.0,):
                task = replace(TASKS[name], strength=strength, steps=study.steps)
                for method in methods:
                    _cell(out, name, task, method, study, seed)


def _cell(out: Path, name: str, task: DotsConfig, method: Method, study: Study, seed: int) -> None:
    """One file, unless it is there."""
    path = out / f"{name}-{task.strength:g}-{method}-{seed}.json"
    identity = {"task": name, "strength": task.strength, "method": method, "seed": seed,
                "study": to_json(study)}  # fmt: skip
    if path.is_file():
        if read_json(path).get("study") != identity["study"]:
            raise InputError(f"{path}: from a study of another scale; choose another --out")
        return
    began = time.process_time()
    learner = trained(method, task, study, seed)
    seconds = {"train_cpu_s": round(time.process_time() - began, 2)}
    scores = probed(learner, task, study)
    with atomic_write(path) as temporary:
        content = identity | scores | seconds | {"commit": source_commit()}
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    errors = " ".join(f"{error:.3f}" for error in scores["rmse"])
    warned = f"; warning: {', '.join(scores['warnings'])}" if scores["warnings"] else ""
    sys.stdout.write(f"{path.stem}: {errors} ({seconds['train_cpu_s']:.0f} s{warned})\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
