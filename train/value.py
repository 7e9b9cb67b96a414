"""``python -m train.value``: train a value function, or a model of the present driving cost.

The value function estimates the cost beyond a policy's or a planner's horizon; the cost model is
PPUU's cost predictor, for environments whose costs are not computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from data.clips.events import EventWeights
from data.splits import Split
from ppuu.costs import DrivingCost, DrivingCostConfig
from ppuu.objectives import Terms, cost_model_loss, recorded_rollout, value_loss
from ppuu.objectives.learned_cost_losses import current_rollout
from ppuu.perception.observation import Observation
from ppuu.policies.features import PixelsConfig, TracksConfig
from ppuu.policies.learned_costs import CostModelConfig, ValueConfig, ValueFunction
from ppuu.predictions import Rollout
from ppuu.runtime.command import run
from ppuu.runtime.config import summary, to_json
from ppuu.runtime.device import seed_everything
from ppuu.runtime.errors import InputError
from ppuu.world_models import CopyLast, tracks_spec

from .batches.clips import ClipSource, ClipStream, Selection
from .batches.validation import held_out_loss
from .engine.distributed import join, leave
from .engine.loop import Recipe, train
from .engine.loop_config import LoopConfig


@dataclass(frozen=True)
class LearnedCostTraining:
    """How a value function or a cost model is trained.

    Attributes:
        network: its size and inputs.
        cost: driving costs; a value function predicts their weighted sum.
        batch: clips per update and process.
        balance: relative frequency of clips with rare events; 1 is that of other clips.
        loop: budget and schedule.
    """

    network: tyro.conf.AvoidSubcommands[ValueConfig | CostModelConfig] = field(
        default_factory=ValueConfig
    )
    cost: DrivingCostConfig = field(default_factory=DrivingCostConfig)
    batch: int = 64
    balance: EventWeights = field(default_factory=EventWeights)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self):
        if self.batch < 1:
            raise InputError(f"batch {self.batch} must be positive")

    @property
    def summary(self) -> str:
        """One line of the command's help."""
        return (
            f"{summary(self.network)} on {summary(self.network.features)}; "
            f"{self.loop.updates} updates of {self.batch} clips"
        )


_COSTS = LearnedCostTraining(CostModelConfig())

PRESETS = {
    "debug": LearnedCostTraining(
        ValueConfig(TracksConfig(hidden=8, heads=2), 16, steps=5),
        batch=4, loop=LoopConfig(updates=10),
    ),
    "small": LearnedCostTraining(),
    "pixels": LearnedCostTraining(ValueConfig(PixelsConfig())),
    "costs": _COSTS,
    "costs-pixels": replace(_COSTS, network=CostModelConfig(PixelsConfig())),
}  # fmt: skip


def main(
    recordings: tuple[Path, ...],
    out: Path,
    config: Annotated[LearnedCostTraining, tyro.conf.arg(name="")],
    split: Split = "train",
    split_manifest: Path | None = None,
    resident_recordings: int | None = None,
    device: str = "auto",
) -> None:
    """Trains a value function or a cost model; run the same command again to resume.

    Args:
        recordings: files written by data.generate or data.prepare.
        out: run directory: checkpoint, config.json, run.json, log.jsonl, TensorBoard events.
        config: all that a preset fixes; debug takes seconds.
        split: which part of each recording to train on; ``all`` for short recordings.
        split_manifest: file of data.splits that defines the split (default: by time).
        resident_recordings: maximum number of recordings in memory at a time (default: all).
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    chosen_device = join(device)
    seed_everything(config.loop.seed)
    network = config.network.build().to(chosen_device)
    # Costs are computed from tracks, whatever the network sees.
    observation = config.network.observation
    observation = replace(observation, vehicles=max(observation.vehicles, 24))
    steps = config.network.steps if isinstance(config.network, ValueConfig) else 1
    stream = ClipStream(
        ClipSource(recordings, split, split_manifest, resident_recordings), observation,
        steps * observation.stride, config.batch, config.balance, config.loop.seed, chosen_device,
    )  # fmt: skip
    if isinstance(config.network, ValueConfig):
        stream.at(0)[0].require_rate(config.network.dt_s)
    stream.fit(network.normalizer)
    cost = DrivingCost(config.cost)

    def draw(selection: Selection, generator: torch.Generator) -> tuple[Observation, Rollout]:
        clips, index = selection
        clip, dt_s = clips.batch(index), clips.scene.dt_s
        if not isinstance(network, ValueFunction):
            return clip.observation, current_rollout(clip.observation, observation.raster)
        recorder = CopyLast(tracks_spec(observation, observation.stride, dt_s))
        target = clips.target(clip, recorder, steps)
        frames = torch.arange(
            observation.stride - 1,
            steps * observation.stride,
            observation.stride,
            device=chosen_device,
        )
        return clip.observation, recorded_rollout(
            clip.observation, target, clip.actions[:, frames], clip.previous_action,
            observation.stride * dt_s, observation.raster,
        )  # fmt: skip

    def loss(batch: tuple[Observation, Rollout], generator: torch.Generator) -> Terms:
        if isinstance(network, ValueFunction):
            return value_loss(network, *batch, cost)
        return cost_model_loss(network, *batch, cost)

    kind = "value" if isinstance(network, ValueFunction) else "cost_model"
    identity = to_json(config) | {"data": stream.identity}
    validate = held_out_loss(stream, draw, loss, config.loop)
    recipe = Recipe(stream.at, draw, loss, validate, batch=stream.batch)
    train(out, kind, identity, config.loop, network, recipe, kind.replace("_", " "))


if __name__ == "__main__":
    run(main, presets=PRESETS)
    leave()
