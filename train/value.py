"""``python -m train.value``: learn what driving on will cost, or what a scene costs now.

The value function may stand at the end of a policy's or a planner's horizon; the cost model is
PPUU's cost predictor, for worlds whose costs are not computed.
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
from ppuu.objectives import Terms, cost_model_loss, current_rollout, recorded_rollout, value_loss
from ppuu.perception.observation import Observation
from ppuu.policies.features import PixelsConfig, TracksConfig
from ppuu.policies.learned_costs import CostModelConfig, ValueConfig, ValueFunction
from ppuu.predictions import Rollout
from ppuu.runtime.command import run
from ppuu.runtime.config import to_json
from ppuu.runtime.device import seed_everything
from ppuu.runtime.errors import InputError
from ppuu.world_models import CopyLast, tracks_spec

from .batches.clips import ClipSource, ClipStream, Picked
from .batches.validation import held_out_loss
from .engine.distributed import join, leave
from .engine.loop import Recipe, train
from .engine.loop_config import LoopConfig


@dataclass(frozen=True)
class CostRegressorTraining:
    """How a value function or a cost model is trained.

    Attributes:
        regressor: the network.
        cost: driving costs; a value function learns their weighted sum.
        batch: clips an update.
        balance: how much more often clips with rare events are drawn; 1 is as often as others.
        loop: budget and schedule.
    """

    regressor: tyro.conf.AvoidSubcommands[ValueConfig | CostModelConfig] = field(
        default_factory=ValueConfig
    )
    cost: DrivingCostConfig = field(default_factory=DrivingCostConfig)
    batch: int = 64
    balance: EventWeights = field(default_factory=EventWeights)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self):
        if self.batch < 1:
            raise InputError(f"batch {self.batch} must be positive")


_COSTS = CostRegressorTraining(CostModelConfig())

PRESETS = {
    "debug": CostRegressorTraining(
        ValueConfig(TracksConfig(hidden=8, heads=2), 16, steps=5),
        batch=4, loop=LoopConfig(updates=10),
    ),
    "small": CostRegressorTraining(),
    "pixels": CostRegressorTraining(ValueConfig(PixelsConfig())),
    "costs": _COSTS,
    "costs-pixels": replace(_COSTS, regressor=CostModelConfig(PixelsConfig())),
}  # fmt: skip


def main(
    recordings: tuple[Path, ...],
    out: Path,
    config: Annotated[CostRegressorTraining, tyro.conf.arg(name="")],
    preset: str = "small",
    split: Split = "train",
    split_manifest: Path | None = None,
    resident_recordings: int | None = None,
    device: str = "auto",
) -> None:
    """Trains a value function or a cost model; run the same command again to resume.

    Args:
        recordings: files written by data.generate or data.prepare.
        out: run directory: checkpoint, config.json, log.jsonl, TensorBoard events.
        config: everything a preset fixes.
        preset: debug (seconds), small, pixels: value functions on tracks and on pixels; costs,
            costs-pixels: cost models.
        split: which part of each recording to learn from; ``all`` for short recordings.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        resident_recordings: at most so many recordings in memory, taking turns; all without.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    where = join(device)
    seed_everything(config.loop.seed)
    regressor = config.regressor.build().to(where)
    # Costs are those among tracks, whatever the regressor looks at.
    seen = config.regressor.observation
    seen = replace(seen, vehicles=max(seen.vehicles, 24))
    steps = config.regressor.steps if isinstance(config.regressor, ValueConfig) else 1
    stream = ClipStream(
        ClipSource(recordings, split, split_manifest, resident_recordings), seen,
        steps * seen.stride, config.batch, config.balance, config.loop.seed, where,
    )  # fmt: skip
    if isinstance(config.regressor, ValueConfig):
        stream.at(0)[0].require_rate(config.regressor.dt_s)
    stream.fit(regressor.normalizer)
    cost = DrivingCost(config.cost)

    def draw(picked: Picked, generator: torch.Generator) -> tuple[Observation, Rollout]:
        clips, index = picked
        clip, dt_s = clips.batch(index), clips.scene.dt_s
        if not isinstance(regressor, ValueFunction):
            return clip.observation, current_rollout(clip.observation, seen.raster)
        recorder = CopyLast(tracks_spec(seen, seen.stride, dt_s))
        target = clips.target(clip, recorder, steps)
        ahead = torch.arange(seen.stride - 1, steps * seen.stride, seen.stride, device=where)
        return clip.observation, recorded_rollout(
            clip.observation, target, clip.actions[:, ahead], clip.previous_action,
            seen.stride * dt_s, seen.raster,
        )  # fmt: skip

    def loss(drawn: tuple[Observation, Rollout], generator: torch.Generator) -> Terms:
        if isinstance(regressor, ValueFunction):
            return value_loss(regressor, *drawn, cost)
        return cost_model_loss(regressor, *drawn, cost)

    kind = "value" if isinstance(regressor, ValueFunction) else "cost_model"
    identity = to_json(config) | {"data": stream.identity}
    recipe = Recipe(stream.at, draw, loss, held_out_loss(stream, draw, loss, config.loop))
    train(out, kind, identity, config.loop, regressor, recipe, kind.replace("_", " "))


if __name__ == "__main__":
    run(main, presets=PRESETS)
    leave()
