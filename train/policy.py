"""``python -m train.policy``: learn to drive, inside a world model or from the recorded driver."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from tqdm import tqdm

from data.clips import Clip
from data.events import EventWeights
from data.splits import Split
from ppuu.checkpoint import Checkpoint
from ppuu.command import run
from ppuu.config import to_json
from ppuu.costs import Uncertainty
from ppuu.errors import InputError
from ppuu.objectives import (
    Terms,
    UnrollConfig,
    expert_replica_costs,
    imitation_loss,
    policy_loss,
    replicas,
    unroll,
    varied_starts,
)
from ppuu.policies import NetworkPolicy, NetworkPolicyConfig
from ppuu.runs import load_policy, load_world_model, weights_hash
from ppuu.runtime import seed_everything
from ppuu.world_models import WorldModel

from .clips import ClipSource, ClipStream, drawn
from .distributed import join
from .loop import Recipe, train
from .loop_config import LoopConfig
from .validation import held_out_loss

Method = Literal["mpur", "mpur-without-uncertainty", "imitation"]


@dataclass(frozen=True)
class PolicyTraining:
    """How a policy is trained.

    Attributes:
        policy: the network.
        unroll: MPUR's unroll and costs; imitation has no use for it.
        batch: clips an update; MPUR gives each several starts (``unroll.starts.copies``), imitation
            takes as many more clips instead.
        balance: how much more often clips with rare events are drawn; 1 is as often as others.
        imitation_updates: of the imitation policy that MPUR starts from.
        expert_clips: clips whose recorded paths set the scale of the model's disagreement.
        loop: budget and schedule.
    """

    policy: NetworkPolicyConfig = field(default_factory=NetworkPolicyConfig)
    unroll: UnrollConfig = field(default_factory=UnrollConfig)
    batch: int = 16
    balance: EventWeights = field(default_factory=EventWeights)
    imitation_updates: int = 1000
    expert_clips: int = 256
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self):
        if min(self.batch, self.imitation_updates) < 1 or self.expert_clips < 2:
            raise InputError(
                f"batch {self.batch} and imitation_updates {self.imitation_updates} must be "
                f"positive, expert_clips {self.expert_clips} at least 2"
            )


PRESETS = {
    "debug": PolicyTraining(
        NetworkPolicyConfig(channels=(8, 8, 8), hidden=16),
        batch=4, imitation_updates=5, expert_clips=16, loop=LoopConfig(updates=10),
    ),
    "small": PolicyTraining(loop=LoopConfig(updates=300)),
    "medium": PolicyTraining(imitation_updates=2000, loop=LoopConfig(updates=1500)),
    "large": PolicyTraining(
        NetworkPolicyConfig(channels=(64, 128, 256), hidden=256), UnrollConfig(replicas=10),
        loop=LoopConfig(updates=100_000, learning_rate=1e-4, warmup_updates=1000),
    ),
}  # fmt: skip


def main(
    method: Method,
    recordings: tuple[Path, ...],
    out: Path,
    config: Annotated[PolicyTraining, tyro.conf.arg(name="")],
    world_model: Path | None = None,
    init: Path | None = None,
    preset: str = "small",
    split: Split = "train",
    split_manifest: Path | None = None,
    resident_recordings: int | None = None,
    device: str = "auto",
) -> None:
    """Trains a policy; run the same command again to resume.

    Args:
        method: mpur: unrolled through the world model, minimising driving costs and the model's
            uncertainty; mpur-without-uncertainty: the same without the regulariser;
            imitation: the recorded driver's next action.
        recordings: files written by data.generate or data.prepare.
        out: run directory: checkpoint, config.json, log.jsonl, TensorBoard events.
        config: everything a preset fixes.
        world_model: run directory of train.world_model; imitation needs none.
        init: run directory of a policy for MPUR to start from; without it, an imitation policy is
            trained first, in OUT/imitation, which spares MPUR the long way from knowing nothing.
        preset: debug (seconds), small (minutes on a laptop), medium (half an hour), large (a GPU).
        split: which part of each recording to learn from; ``all`` for short recordings.
        split_manifest: file of data.splits that says what belongs to the split; by time without.
        resident_recordings: at most so many recordings in memory, taking turns; all without.
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    where = join(device)
    source = ClipSource(recordings, split, split_manifest, resident_recordings)
    if method == "imitation":
        train_imitation(source, out, config, where)
        return
    if world_model is None:
        raise InputError(f"--method {method} needs --world-model RUN_DIR (train.world_model)")
    model = load_world_model(world_model).to(where)
    _check_fit(model, config)
    if init is None:
        init = out / "imitation"
        schooled = replace(config, loop=replace(config.loop, updates=config.imitation_updates))
        train_imitation(source, init, schooled, where)
    start = load_policy(init)
    if start.config != config.policy:
        raise InputError(f"--init {init}: a policy of another size; choose the same --policy.*")
    if method == "mpur-without-uncertainty":
        bare = replace(config.unroll, uncertainty_weight=0.0, view_weight=0.0)
        config = replace(config, unroll=bare)
    seed_everything(config.loop.seed)
    policy = config.policy.build().to(where)
    policy.load_state_dict(start.state_dict())
    horizon = config.unroll.steps * model.frames_per_step
    stream = ClipStream(
        source, config.policy.observation, horizon, config.batch, config.balance,
        config.loop.seed, where,
    )  # fmt: skip
    stream.at(0)[0].require_rate(model.dt_s)
    identity = {"method": method} | to_json(config) | {"data": stream.identity}
    identity["init"] = _origin(init, start)
    identity["world_model"] = _origin(world_model, model)
    loss = mpur(policy, model, stream, config)
    validate = held_out_loss(stream, drawn, loss, config.loop)
    recipe = Recipe(stream.at, drawn, loss, validate)
    train(out, "policy", identity, config.loop, policy, recipe, method)


def _origin(run: Path, module: torch.nn.Module) -> dict[str, Any]:
    """What a policy owes to an earlier run: its weights, and the data that they have seen."""
    config = Checkpoint.load(run).config
    seen = {key: config[key] for key in ("data", "init", "world_model") if key in config}
    return {"weights": weights_hash(module)} | seen


def train_imitation(
    source: ClipSource, out: Path, config: PolicyTraining, device: torch.device
) -> None:
    """Imitation from scratch: a method of its own, and where MPUR starts from."""
    seed_everything(config.loop.seed)
    policy = config.policy.build().to(device)
    # No starts to multiply the batch by: as many clips as MPUR has rollouts.
    count = config.batch * config.unroll.starts.copies
    stream = ClipStream(
        source, config.policy.observation, 1, count, config.balance, config.loop.seed, device
    )
    stream.fit(policy.normalizer)
    identity = {
        "method": "imitation", "policy": to_json(config.policy), "batch": count,
        "balance": to_json(config.balance), "loop": to_json(config.loop), "data": stream.identity,
    }  # fmt: skip

    def loss(clip: Clip) -> Terms:
        return imitation_loss(policy, clip.observation, clip.actions[:, 0])

    validate = held_out_loss(stream, drawn, loss, config.loop)
    recipe = Recipe(stream.at, drawn, loss, validate)
    train(out, "policy", identity, config.loop, policy, recipe, "imitation")


def mpur(
    policy: NetworkPolicy, model: WorldModel, stream: ClipStream, config: PolicyTraining
) -> Callable[[Clip], Terms]:
    """The loss of MPUR, after the experts have set the scale of disagreement."""
    model.train()  # dropout is what makes the replicas differ
    dt_s = model.dt_s
    experts = _expert_costs(model, stream, config)
    uncertainty = Uncertainty(config.unroll.steps, config.unroll.hinge).to(experts.device)
    uncertainty.fit(experts)

    def loss(clip: Clip) -> Terms:
        seen = clip.observation
        starts = varied_starts(
            seen, config.unroll.starts, model.raster, dt_s, model.observation.stride
        )
        rollout = unroll(
            policy,
            replicas(model, seen, starts, config.unroll),
            starts,
            clip.previous_action.repeat_interleave(config.unroll.starts.copies, 0),
            config.unroll.steps,
            model.frames_per_step,
            dt_s,
        )
        return policy_loss(rollout, uncertainty, config.unroll)

    return loss


def _expert_costs(model: WorldModel, stream: ClipStream, config: PolicyTraining) -> torch.Tensor:
    clips, chosen = stream.sample(config.expert_clips)
    steps = torch.arange(1, config.unroll.steps + 1, device=clips.ego.device)
    ahead = steps * model.frames_per_step
    costs = []
    for index in tqdm(
        chosen.split(config.batch),
        desc="experts' uncertainty", disable=not sys.stderr.isatty(), leave=False,
    ):  # fmt: skip
        clip = clips.batch(index)
        costs.append(
            expert_replica_costs(
                model, clip.observation, clip.future[:, ahead - 1], clip.actions[:, ahead - 1],
                config.unroll, clips.scene.dt_s,
            )
        )  # fmt: skip
    return torch.cat(costs)


def _check_fit(model: WorldModel, config: PolicyTraining) -> None:
    seen = config.policy.observation
    if seen != model.observation:
        raise InputError(
            "the policy's observation (--policy.observation.*) differs from the one the world "
            f"model was trained with: {model.observation}"
        )


if __name__ == "__main__":
    run(main, presets=PRESETS)
