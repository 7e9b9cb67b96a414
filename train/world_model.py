"""``python -m train.world_model``: learn how the surroundings evolve, from recordings alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
import tyro

from data.clips.clips import Clip
from data.clips.events import EventWeights
from data.splits import Split
from ppuu.loading.runs import load_world_model, weights_hash
from ppuu.objectives import Terms, WorldModelLossConfig, world_model_loss
from ppuu.perception.observation import Observation
from ppuu.perception.sensor_noise import SensorNoise
from ppuu.perception.sensors import SENSORS, SensorName
from ppuu.predictions import Target
from ppuu.runtime.command import run
from ppuu.runtime.config import summary, to_json
from ppuu.runtime.device import seed_everything
from ppuu.runtime.errors import InputError
from ppuu.world_models import (
    PAPER,
    CortexNetConfig,
    CoupledConfig,
    DecoupledConfig,
    RecurrentConfig,
    TokensConfig,
    WorldModel,
    WorldModelConfig,
)

from .batches.clips import ClipSource, ClipStream, Selection
from .batches.other_paths import OtherPaths
from .batches.validation import held_out_loss
from .engine.distributed import join, leave
from .engine.loop import Recipe, train
from .engine.loop_config import LoopConfig
from .pictures import prediction_strip


@dataclass(frozen=True)
class WorldModelTraining:
    """How a world model is trained.

    Attributes:
        model: the network.
        steps: model steps to predict, of ``model.frames_per_step`` recorded frames each.
        batch: clips per update and process.
        balance: relative frequency of clips with rare events; 1 is that of other clips.
        sensors: how histories are seen, for models of tracks: each clip draws one of these
            sensors and a share of its noise, for all its frames; targets stay exact.
        paths: futures along other paths than the recorded ones, for models conditioned on the
            ego.
        loss: weights of the loss.
        loop: budget and schedule.
    """

    model: tyro.conf.AvoidSubcommands[WorldModelConfig] = field(default_factory=TokensConfig)
    steps: int = 10
    batch: int = 32
    balance: EventWeights = field(default_factory=EventWeights)
    sensors: tuple[SensorName, ...] = ("exact",)
    paths: OtherPaths = field(default_factory=OtherPaths)
    loss: WorldModelLossConfig = field(default_factory=WorldModelLossConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self):
        if self.steps < 1 or self.batch < 1:
            raise InputError(f"steps {self.steps} and batch {self.batch} must be positive")
        if self.paths.share and not isinstance(self.model, CoupledConfig):
            raise InputError(
                f"--paths.share {self.paths.share}: only a coupled model is conditioned on the "
                "ego's path; choose --preset coupled"
            )
        if len(self.sensors) != len(set(self.sensors)) or not self.sensors:
            raise InputError(f"--sensors {' '.join(self.sensors)}: give one or more, each once")
        if self.sensors != ("exact",) and not isinstance(self.model, TokensConfig):
            raise InputError(
                f"--sensors {' '.join(self.sensors)}: only models of tracks see tracks; "
                "leave it out"
            )

    @property
    def summary(self) -> str:
        """One line of the command's help."""
        return f"{summary(self.model)}; {self.loop.updates} updates of {self.batch} clips"


_PIXELS = WorldModelTraining(DecoupledConfig(), loop=LoopConfig(updates=300, learning_rate=2e-3))
_COUPLED = WorldModelTraining(
    CoupledConfig(), batch=16, loop=LoopConfig(updates=1500, learning_rate=1e-3)
)

PRESETS = {
    "debug": WorldModelTraining(
        TokensConfig(hidden=16, pair=8), batch=4, loop=LoopConfig(updates=20)
    ),
    "small": WorldModelTraining(batch=64, loop=LoopConfig(updates=1500, learning_rate=2e-3)),
    "medium": WorldModelTraining(batch=64, loop=LoopConfig(updates=8000, learning_rate=1e-3)),
    "large": WorldModelTraining(
        TokensConfig(hidden=256, pair=128, heads=8, latent=8),
        batch=256,
        loop=LoopConfig(updates=200_000, learning_rate=3e-4, warmup_updates=1000),
    ),
    "pixels": _PIXELS,
    "pixels-debug": replace(
        _PIXELS, model=DecoupledConfig(channels=(8, 8, 16)), batch=4, loop=LoopConfig(updates=20)
    ),
    "coupled": _COUPLED,
    "coupled-debug": replace(
        _COUPLED, model=CoupledConfig(features=8, latent=4), batch=4, loop=LoopConfig(updates=20)
    ),
    "paper": WorldModelTraining(
        PAPER,
        steps=20,
        batch=64,
        loss=WorldModelLossConfig(kl_weight=1e-6),
        loop=LoopConfig(
            updates=400_000,
            learning_rate=1e-4,
            schedule="constant",
            warmup_updates=0,
            clip_norm=5.0,
        ),
    ),
    "recurrent": replace(_PIXELS, model=RecurrentConfig()),
    "recurrent-debug": replace(
        _PIXELS, model=RecurrentConfig(channels=(8, 8)), batch=4, loop=LoopConfig(updates=20)
    ),
    "cortexnet": replace(_PIXELS, model=CortexNetConfig()),
    "cortexnet-debug": replace(
        _PIXELS, model=CortexNetConfig(channels=(8, 8)), batch=4, loop=LoopConfig(updates=20)
    ),
}


class Training(Protocol):
    """The configuration of a recipe for world models."""

    @property
    def model(self) -> WorldModelConfig: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def balance(self) -> EventWeights: ...
    @property
    def loop(self) -> LoopConfig: ...


def fit(
    source: ClipSource,
    out: Path,
    config: Training,
    device: str,
    loss_of: Callable[[Any, Observation, Target, torch.Generator], Terms],
    diagnostics: Callable[[Any, Observation, Target], Mapping[str, float]] | None = None,
    augment_observation: Callable[[Observation, torch.Generator], Observation] = (
        lambda observation, _: observation
    ),
    augment_clip: Callable[[Clip, torch.Generator], Clip] = lambda clip, _: clip,
    start_from: Path | None = None,
) -> None:
    """Trains a world model of any kind in the loop.

    Args:
        source: recordings.
        out: run directory.
        config: a frozen dataclass; all of it becomes part of the run's identity.
        device: as the command line names it.
        loss_of: the model's loss on some clips.
        diagnostics: numbers to log beside it.
        augment_observation: changes what the model sees of a history, adds noise for instance.
        augment_clip: changes a clip, its future path for instance.
        start_from: run whose weights and normalisation training begins with.

    Raises:
        InputError: the history's stride is not the model's step, recordings do not fit, or
            ``start_from`` holds another model.
    """
    chosen_device = join(device)
    seed_everything(config.loop.seed)
    model = config.model.build().to(chosen_device)
    frames = model.frames_per_step
    if config.model.observation.stride != frames:
        raise InputError(
            f"--model.frames-per-step is {frames} and --model.observation.stride "
            f"{config.model.observation.stride}; they must be equal, so that a predicted step "
            "continues the history"
        )
    stream = ClipStream(
        source, config.model.observation, config.steps * frames, config.batch, config.balance,
        config.loop.seed, chosen_device,
    )  # fmt: skip
    stream.at(0)[0].require_rate(model.dt_s)
    identity = to_json(config) | {"data": stream.identity}
    if start_from is not None:
        identity["start_from"] = _take_weights(model, start_from)
    elif model.normalizer is not None:
        stream.fit(model.normalizer)

    def draw(selection: Selection, generator: torch.Generator) -> tuple[Observation, Target]:
        clips, index = selection
        clip = augment_clip(clips.batch(index, images=model.observation.images), generator)
        target = clips.target(clip, model, config.steps, generator)
        return augment_observation(clip.observation, generator), target

    def loss(batch: tuple[Observation, Target], generator: torch.Generator) -> Terms:
        return loss_of(model, *batch, generator)

    def logged(selection: Selection) -> Mapping[str, float]:
        assert diagnostics is not None
        return diagnostics(model, *draw(selection, torch.Generator()))

    recipe = Recipe(
        stream.at, draw, loss, held_out_loss(stream, draw, loss, config.loop),
        lambda selection: {"futures": prediction_strip(model, selection, config.steps)},
        None if diagnostics is None else logged, batch=stream.batch,
    )  # fmt: skip
    train(out, "world_model", identity, config.loop, model, recipe, "world model")


def _take_weights(model: WorldModel, run: Path) -> str:
    """Copies a trained model's weights; returns their hash."""
    trained = load_world_model(run)
    if trained.config != model.config:
        raise InputError(
            f"--start-from {run}: its model has other options than this one; give the --preset and "
            "--model options it was trained with"
        )
    model.load_state_dict(trained.state_dict())
    return weights_hash(trained)


def main(
    recordings: tuple[Path, ...],
    out: Path,
    config: Annotated[WorldModelTraining, tyro.conf.arg(name="")],
    split: Split = "train",
    split_manifest: Path | None = None,
    resident_recordings: int | None = None,
    start_from: Path | None = None,
    device: str = "auto",
) -> None:
    """Trains a world model; run the same command again to resume.

    Args:
        recordings: files written by data.generate or data.prepare.
        out: run directory: checkpoint, config.json, run.json, log.jsonl, TensorBoard events.
        config: all that a preset fixes. Presets with debug in their names take seconds, small
            minutes on a laptop, medium half an hour; large and paper (PPUU's own model, for days)
            are for a GPU.
        split: which part of each recording to train on; ``all`` for short recordings.
        split_manifest: file of data.splits that defines the split (default: by time).
        resident_recordings: maximum number of recordings in memory at a time (default: all).
        start_from: run directory of a world model to begin with, to adapt it to these recordings.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    source = ClipSource(recordings, split, split_manifest, resident_recordings)

    def loss(
        model: WorldModel, observation: Observation, target: Target, generator: torch.Generator
    ) -> Terms:
        return world_model_loss(model, observation, target, config.loss, generator)

    noise = SensorNoise(
        [SENSORS[name] for name in config.sensors],
        config.model.dt_s,
        config.model.observation.lags(),
    )

    def add_noise(observation: Observation, generator: torch.Generator) -> Observation:
        if observation.tracks is None:
            return observation
        return replace(observation, tracks=noise.add_to(observation.tracks, generator))

    def other_paths(clip: Clip, generator: torch.Generator) -> Clip:
        return config.paths.taken(clip, config.model.dt_s, generator)

    fit(
        source, out, config, device, loss,
        augment_observation=add_noise, augment_clip=other_paths, start_from=start_from,
    )  # fmt: skip


if __name__ == "__main__":
    run(main, presets=PRESETS)
    leave()
