"""``python -m train.encoder``: a world model without pixels, from recordings alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from data.clips.events import EventWeights
from data.splits import Split
from ppuu.encoders import (
    GruConfig,
    ImpalaConfig,
    VectorHead,
    VitConfig,
)
from ppuu.encoders.diagnostics import FAILURES, triggered_warnings
from ppuu.encoders.regularizers import (
    BarlowTwinsConfig,
    DclConfig,
    DirectClrConfig,
    InfoNceConfig,
    Mcr2Config,
    ReconstructionConfig,
    SigRegConfig,
    TiCoConfig,
    UntrainedConfig,
    VicRegConfig,
)
from ppuu.objectives import JepaLossConfig, Terms, jepa_diagnostics, jepa_loss
from ppuu.perception.observation import Observation
from ppuu.predictions import Target
from ppuu.runtime.command import run
from ppuu.runtime.config import summary
from ppuu.runtime.errors import InputError
from ppuu.world_models import JepaConfig, JepaWorldModel

from .batches.clips import ClipSource
from .engine.distributed import first, leave
from .engine.loop_config import LoopConfig
from .world_model import fit


@dataclass(frozen=True)
class EncoderTraining:
    """How a joint-embedding world model is trained.

    Attributes:
        model: the network, its regulariser included.
        steps: model steps to predict, of ``model.frames_per_step`` recorded frames each.
        batch: clips per update and process; statistics are over all processes.
        balance: relative frequency of clips with rare events; 1 is that of other clips.
        loss: weights of everything else.
        loop: budget and schedule.
    """

    model: JepaConfig = field(default_factory=JepaConfig)
    steps: int = 10
    batch: int = 32
    balance: EventWeights = field(default_factory=EventWeights)
    loss: JepaLossConfig = field(default_factory=JepaLossConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(updates=1000, learning_rate=1e-3, clip_norm=5.0)
    )

    def __post_init__(self):
        if min(self.steps, self.batch) < 2:
            raise InputError(
                f"steps {self.steps} and batch {self.batch}: 2 or more, since embeddings are "
                "compared with those of other times and clips"
            )
        if self.loop.accumulate > 1 and self.model.jepa.target_momentum:
            raise InputError(
                f"--loop.accumulate {self.loop.accumulate}: targets of a moving average move once "
                "a batch; take a larger --batch, or more processes"
            )

    @property
    def summary(self) -> str:
        """One line of the command's help."""
        parts = self.model.jepa
        loss = "" if self.loss == JepaLossConfig() else f"{summary(self.loss)}; "
        return (
            f"{summary(self.model.regularizer)}; {loss}encoder {summary(parts.encoder)}; predictor "
            f"{summary(parts.predictor)}; {self.loop.updates} updates of {self.batch} clips"
        )


_MODEL = JepaConfig()
_REGULARIZERS = {
    "vicreg": VicRegConfig(),
    "simclr": InfoNceConfig(),
    "dcl": DclConfig(),
    "dcl-weighted": DclConfig(sigma=0.5),
    "barlow-twins": BarlowTwinsConfig(),
    "tico": TiCoConfig(),
    "direct-clr": DirectClrConfig(),
    "sigreg": SigRegConfig(),
    "mcr2": Mcr2Config(),
    "reconstruction": ReconstructionConfig(),
    "untrained": UntrainedConfig(),
    "vicreg-temporal": VicRegConfig(temporal_variance=10.0),
    "simclr-within": InfoNceConfig(negatives="both"),
}
OBJECTIVES = {
    name: EncoderTraining(replace(_MODEL, regularizer=regularizer))
    for name, regularizer in _REGULARIZERS.items()
}
OBJECTIVES["sigreg"] = EncoderTraining(
    replace(
        _MODEL, regularizer=SigRegConfig(), jepa=replace(_MODEL.jepa, norm="batch")
    )
)  # fmt: skip
OBJECTIVES["vicreg-motion"] = EncoderTraining(loss=JepaLossConfig(inverse_motion=1.0))


_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "vector": {"head": VectorHead(256), "predictor": GruConfig(dropout=0.1)},
    "impala": {"encoder": ImpalaConfig()},
    "vit": {"encoder": VitConfig()},
}
"""Variants of every objective: one vector instead of a map, other encoders."""
OBJECTIVES |= {
    f"{name}-{kind}": replace(
        training, model=replace(training.model, jepa=replace(training.model.jepa, **parts))
    )
    for name, training in OBJECTIVES.items()
    for kind, parts in _ARCHITECTURES.items()
}
OBJECTIVES["debug"] = EncoderTraining(batch=4, loop=LoopConfig(updates=20))


_PATIENCE = 3
"""Consecutive evaluations that must show a failure: at first every embedding shows one."""


class _Telemetry:
    """Telemetry, and a warning when a failure shows in several consecutive evaluations."""

    def __init__(self):
        self._consecutive = dict.fromkeys((failure.name for failure in FAILURES), 0)

    def __call__(
        self, model: JepaWorldModel, observation: Observation, target: Target
    ) -> Mapping[str, float]:
        values = jepa_diagnostics(model, observation, target)
        names = set(triggered_warnings(values))
        for failure in FAILURES:
            self._consecutive[failure.name] += 1
            if failure.name not in names:
                self._consecutive[failure.name] = 0
            elif self._consecutive[failure.name] == _PATIENCE and first():
                sys.stderr.write(
                    f"warning: {failure.name}: {failure.meaning} ({failure.value} "
                    f"{values[failure.value]:.3g})\n"
                )
        return values | {f"warning_{f.name}": float(f.name in names) for f in FAILURES}


def main(
    recordings: tuple[Path, ...],
    out: Path,
    config: Annotated[EncoderTraining, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands],
    split: Split = "train",
    split_manifest: Path | None = None,
    resident_recordings: int | None = None,
    device: str = "auto",
) -> None:
    """Trains encoder, predictor and readout; run the same command again to resume.

    The run directory holds a world model like any other.  Telemetry of the embeddings is logged
    beside the loss; known failures are reported once, by name.

    Args:
        recordings: files written by data.generate or data.prepare.
        out: run directory: checkpoint, config.json, run.json, log.jsonl, TensorBoard events.
        config: all that an objective fixes. untrained: only the readout learns; vicreg-temporal,
            simclr-within, vicreg-motion: against slow features; NAME-vector: one vector instead of
            a map; NAME-impala, NAME-vit: other encoders; debug takes seconds.
        split: which part of each recording to train on; ``all`` for short recordings.
        split_manifest: file of data.splits that defines the split (default: by time).
        resident_recordings: maximum number of recordings in memory at a time (default: all).
        device: auto (a GPU if there is one), cpu, cuda, …
    """

    def loss(
        model: JepaWorldModel, observation: Observation, target: Target, generator: torch.Generator
    ) -> Terms:
        return jepa_loss(model, observation, target, config.loss, generator)

    source = ClipSource(recordings, split, split_manifest, resident_recordings)
    fit(source, out, config, device, loss, _Telemetry())


if __name__ == "__main__":
    run(main, presets=OBJECTIVES, chosen_by="objective", default="vicreg")
    leave()
