"""``python -m train.policy``: train a policy in a world model, or from the recorded driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from data.clips.events import EventWeights
from data.splits import Split
from ppuu.loading.policy_names import policy_by_name
from ppuu.loading.runs import load_policy, load_value, load_world_models, weights_hash
from ppuu.objectives import StartConfig, UnrollConfig
from ppuu.perception.observation import ObservationConfig
from ppuu.policies import PAPER_POLICY, NetworkPolicy, NetworkPolicyConfig, Policy
from ppuu.policies.features import EmbeddingConfig, EmbeddingFeatures, PixelsConfig, TracksConfig
from ppuu.policies.learned_costs import ValueFunction
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.command import run
from ppuu.runtime.config import summary, to_json
from ppuu.runtime.device import seed_everything
from ppuu.runtime.errors import InputError
from ppuu.world_models import Ensemble, WorldModel

from .batches.clips import ClipSource, ClipStream
from .batches.goals import GoalMix
from .batches.validation import held_out_loss
from .engine.distributed import join, leave
from .engine.loop import Recipe, train
from .engine.loop_config import LoopConfig
from .policy_methods import (
    Draw,
    Loss,
    distillation,
    expert_regularised,
    imitation,
    multi_step_imitation,
    uncertainty_regularised,
)

Method = Literal[
    "mpur", "mpur-without-uncertainty", "mper", "imitation", "multi-step-imitation", "distillation"
]
IN_MODEL = ("mpur", "mpur-without-uncertainty", "mper")
BARE = {"uncertainty_weight": 0.0, "view_weight": 0.0}
"""Weights of the unroll's costs without uncertainty."""


@dataclass(frozen=True)
class PolicyTraining:
    """How a policy is trained.

    Attributes:
        policy: the network.
        unroll: how far a policy is unrolled; MPUR's costs.
        batch: clips per update and process; MPUR and distillation use several starts of each
            (``unroll.starts.copies``), the others as many times more clips instead.
        balance: relative frequency of clips with rare events; 1 is that of other clips.
        imitation_updates: of the imitation policy that other methods start from; 0 is none.
        expert_clips: clips whose recorded paths set the scale of the model's disagreement.
        goals: lanes to be in, for mpur and a policy that reads them (--policy.goal).
        loop: budget and schedule.
    """

    policy: tyro.conf.AvoidSubcommands[NetworkPolicyConfig] = field(
        default_factory=NetworkPolicyConfig
    )
    unroll: UnrollConfig = field(default_factory=UnrollConfig)
    batch: int = 16
    balance: EventWeights = field(default_factory=EventWeights)
    imitation_updates: int = 300
    expert_clips: int = 256
    goals: GoalMix = field(default_factory=GoalMix)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self):
        if self.batch < 1 or self.imitation_updates < 0 or self.expert_clips < 2:
            raise InputError(
                f"batch {self.batch} must be positive, imitation_updates "
                f"{self.imitation_updates} not negative, expert_clips {self.expert_clips} at "
                "least 2"
            )
        if self.goals.share and not self.policy.goal:
            raise InputError("goals.share: the policy reads no goals; add --policy.goal")

    @property
    def summary(self) -> str:
        """One line of the command's help."""
        return (
            f"on {summary(self.policy.features)}; {self.loop.updates} updates of {self.batch} clips"
        )


_LOOP = LoopConfig(clip_norm=10.0)
"""Few batches contain contact; their gradient is ten times the usual one, and a small norm would
suppress just these."""

_PIXELS = PolicyTraining(
    NetworkPolicyConfig(PixelsConfig()), imitation_updates=1000, loop=LoopConfig(updates=300)
)
_SHORT = UnrollConfig(steps=4, replicas=2, starts=StartConfig(drive_steps=2))

PRESETS = {
    "debug": PolicyTraining(
        NetworkPolicyConfig(TracksConfig(hidden=8, heads=2), hidden=16), _SHORT,
        batch=4, imitation_updates=5, expert_clips=16, loop=LoopConfig(updates=10),
    ),
    "small": PolicyTraining(loop=replace(_LOOP, updates=4000)),
    "medium": PolicyTraining(batch=32, loop=replace(_LOOP, updates=8000)),
    "large": PolicyTraining(
        NetworkPolicyConfig(TracksConfig(hidden=256), hidden=256), UnrollConfig(replicas=10),
        batch=64,
        loop=replace(_LOOP, updates=100_000, learning_rate=3e-4, warmup_updates=1000),
    ),
    "pixels": _PIXELS,
    "pixels-debug": replace(
        _PIXELS, policy=NetworkPolicyConfig(PixelsConfig(channels=(8, 8, 8)), hidden=16),
        unroll=_SHORT,
        batch=4, imitation_updates=5, expert_clips=16, loop=LoopConfig(updates=10),
    ),
    "coupled": replace(
        _PIXELS, policy=NetworkPolicyConfig(PixelsConfig(ObservationConfig(frames=6))),
        unroll=UnrollConfig(starts=StartConfig(copies=2, drive_steps=5)), batch=8,
        loop=LoopConfig(updates=500),
    ),
    "paper": PolicyTraining(
        PAPER_POLICY,
        UnrollConfig(
            steps=30, replicas=10, discount=0.99, starts=StartConfig(copies=2, drive_steps=15)
        ),
        batch=8, imitation_updates=2000,
        loop=replace(_LOOP, updates=100_000, learning_rate=1e-4),
    ),
    "embedding": PolicyTraining(
        NetworkPolicyConfig(EmbeddingConfig()), loop=LoopConfig(updates=2000)
    ),
}  # fmt: skip


def main(
    method: Method,
    recordings: tuple[Path, ...],
    out: Path,
    config: Annotated[PolicyTraining, tyro.conf.arg(name="")],
    world_model: tuple[Path, ...] = (),
    teacher: str | None = None,
    value: Path | None = None,
    init: Path | None = None,
    split: Split = "train",
    split_manifest: Path | None = None,
    resident_recordings: int | None = None,
    device: str = "auto",
) -> None:
    """Trains a policy; run the same command again to resume.

    Args:
        method: mpur: unrolled through the world model, minimising driving costs and the model's
            uncertainty; mpur-without-uncertainty: the same without the regulariser; mper: unrolled
            through the world model, following the recorded driver's path; imitation: the recorded
            driver's next action; multi-step-imitation: its path, among recorded traffic;
            distillation: a planner's actions.
        recordings: files written by data.generate or data.prepare.
        out: run directory: checkpoint, config.json, run.json, log.jsonl, TensorBoard events.
        config: all that a preset fixes. Presets with debug in their names take seconds, small
            minutes on a laptop, medium half an hour; large and paper are for a GPU. Those on
            pixels are for world models of images, coupled and paper for the world model's preset
            of that name.
        world_model: run directory of train.world_model; mpur, mpur-without-uncertainty and mper
            need one, and so does a policy on its embedding. For mpur, several are an ensemble,
            whose members' disagreement is the uncertainty.
        teacher: the planner to distil, such as planner:constant-acceleration.
        value: run directory of train.value; mpur adds its estimate of the cost after the rollout.
        init: run directory of a policy to start from; without it, all methods but imitation first
            train an imitation policy, in OUT/imitation, to start from.
        split: which part of each recording to train on; ``all`` for short recordings.
        split_manifest: file of data.splits that defines the split (default: by time).
        resident_recordings: maximum number of recordings in memory at a time (default: all).
        device: auto (a GPU if there is one), cpu, cuda, …
    """
    _refuse_unused_options(method, config, world_model, teacher, value, init)
    where = join(device)
    source = ClipSource(recordings, split, split_manifest, resident_recordings)
    model = load_world_models(world_model).to(where) if world_model else None
    if isinstance(model, Ensemble) and method != "mpur":
        raise InputError(f"--world-model: {method} takes one, only mpur takes an ensemble")
    if isinstance(model, Ensemble) and config.unroll.latents == "posterior":
        raise InputError("--unroll.latents posterior: the members of an ensemble share no latents")
    if config.unroll.adversarial.every and model is not None and not model.spec.latent:
        raise InputError(
            "--unroll.adversarial.every: a deterministic world model has no latents to move"
        )
    if model is None and (method in IN_MODEL or _embeds(config)):
        raise InputError(f"--method {method} needs --world-model RUN_DIR (train.world_model)")
    if model is not None:
        config = _fitted(config, model, method in IN_MODEL)
    planner = None if teacher is None else _teacher(teacher, config, where)
    value_function = None if value is None else load_value(value).to(where)
    if value_function is not None:
        _require_observation(f"--value {value}", value_function.observation, config)
    if method == "imitation":
        train_imitation(source, out, config, where, model)
        return
    if method == "distillation" and teacher is None:
        raise InputError("--method distillation needs --teacher, such as planner:recorded")
    start = None
    if init is None and config.imitation_updates:
        init = out / "imitation"
        shorter = replace(config, loop=replace(config.loop, updates=config.imitation_updates))
        train_imitation(source, init, shorter, where, model)
    if init is not None:
        start = load_policy(init)
        if start.config != config.policy:
            raise InputError(f"--init {init}: a policy of another size; choose the same --policy.*")
    if method == "mpur-without-uncertainty":
        config = replace(config, unroll=replace(config.unroll, **BARE))
    seed_everything(config.loop.seed)
    policy = new_policy(config.policy, model).to(where)
    stream = _stream(source, config, method, model, where)
    if start is not None:
        policy.load_state_dict(start.state_dict())
    else:
        stream.fit(policy.normalizer)
    identity = {"method": method} | to_json(config) | {"data": stream.identity}
    if init is not None and start is not None:
        identity["init"] = _origin(init, start, "policy")
    if world_model and model is not None:
        origins = [_origin(run, model, "world_model") for run in world_model]
        identity["world_model"] = origins[0] if len(origins) == 1 else origins
    if teacher is not None:
        identity["teacher"] = teacher
    if value_function is not None:
        stream.at(0)[0].require_rate(value_function.config.dt_s)
        identity["value"] = weights_hash(value_function)
    draw, loss = _method(method, policy, model, stream, config, planner, value_function)
    validate = held_out_loss(stream, draw, loss, config.loop)
    recipe = Recipe(stream.at, draw, loss, validate, batch=stream.batch)
    train(out, "policy", identity, config.loop, policy, recipe, method)


def _refuse_unused_options(
    method: Method,
    config: PolicyTraining,
    world_model: Sequence[Path],
    teacher: str | None,
    value: Path | None,
    init: Path | None,
) -> None:
    """Refuses options that the method ignores.

    Raises:
        InputError: one of them is set.
    """
    unrolled, usual = method.startswith("mpur"), UnrollConfig()
    options = {
        "--teacher": (teacher is not None, method == "distillation"),
        "--value": (value is not None, unrolled),
        "--init": (init is not None, method != "imitation"),
        "--world-model": (bool(world_model), method in IN_MODEL or _embeds(config)),
        "--unroll.latents": (config.unroll.latents != "prior", unrolled),
        "--unroll.adversarial.every": (config.unroll.adversarial.every > 0, unrolled),
        "--unroll.cost.*": (config.unroll.cost != usual.cost, unrolled),
        "--goals.share": (config.goals.share > 0, unrolled),
    }
    # A run without uncertainty writes its weights, 0, to its configuration.
    plain = BARE if method == "mpur-without-uncertainty" else {}
    options |= {
        f"--unroll.{name.replace('_', '-')}": (
            getattr(config.unroll, name) not in (getattr(usual, name), plain.get(name)),
            method == "mpur",
        )
        for name in ("uncertainty_weight", "view_weight", "hinge")
    }
    for option, (given, used) in options.items():
        if given and not used:
            raise InputError(f"{option}: --method {method} does not use it; leave it out")


def _teacher(name: str, config: PolicyTraining, where: torch.device) -> Policy:
    """The planner to distil, on the device of the clips.

    Raises:
        InputError: no such planner, or it needs to see more than the policy.
    """
    teacher = policy_by_name(name, "--teacher")
    if teacher.observation is None:
        raise InputError(f"--teacher {name}: learn from a planner, such as planner:recorded")
    _require_observation(f"--teacher {name}", teacher.observation, config)
    for network in teacher.networks():
        network.to(where)
    return teacher


def _require_observation(option: str, needed: ObservationConfig, config: PolicyTraining) -> None:
    """Raises InputError unless the policy sees all that is needed."""
    if not config.policy.observation.shows(needed):
        raise InputError(
            f"{option}: sees {needed}, the policy {config.policy.observation}; choose two that "
            "agree"
        )


def _method(
    method: Method,
    policy: NetworkPolicy,
    model: WorldModel | None,
    stream: ClipStream,
    config: PolicyTraining,
    teacher: Policy | None,
    value: ValueFunction | None,
) -> tuple[Draw, Loss]:
    unroll, dt_s = config.unroll, stream.at(0)[0].scene.dt_s
    if method == "multi-step-imitation":
        return multi_step_imitation(policy, unroll.steps, dt_s)
    if method == "distillation":
        assert teacher is not None
        return distillation(policy, teacher, unroll, dt_s)
    assert model is not None
    stream.at(0)[0].require_rate(model.dt_s)
    if method == "mper":
        return expert_regularised(policy, model, unroll.steps)
    return uncertainty_regularised(
        policy, model, stream, unroll, config.expert_clips, value, config.goals
    )


def _stream(
    source: ClipSource,
    config: PolicyTraining,
    method: Method,
    model: WorldModel | None,
    device: torch.device,
) -> ClipStream:
    """Clips with all that policy and model observe."""
    own = config.policy.observation
    models = model.observation if model is not None and method in IN_MODEL else own
    images = own.images or models.images
    among_recorded = method in ("multi-step-imitation", "distillation") or method.startswith("mpur")
    tracked = 24 if among_recorded else 0
    observation = replace(own, vehicles=max(own.vehicles, models.vehicles, tracked), images=images)
    varied = method not in ("mper", "multi-step-imitation")
    batch = config.batch * (1 if varied else config.unroll.starts.copies)
    driven = config.unroll.starts.drive_steps if method.startswith("mpur") else 0
    horizon = (driven + config.unroll.steps) * own.stride
    return ClipStream(source, observation, horizon, batch, config.balance, config.loop.seed, device)


def _origin(run: Path, module: torch.nn.Module, kind: str) -> dict[str, Any]:
    """What an earlier run contributes: its weights, and the data that they were trained on."""
    config = Checkpoint.load(run, kind).config
    data = {key: config[key] for key in ("data", "init", "world_model") if key in config}
    return {"weights": weights_hash(module)} | data


def train_imitation(
    source: ClipSource,
    out: Path,
    config: PolicyTraining,
    device: torch.device,
    model: WorldModel | None = None,
) -> None:
    """Imitation from scratch: a method of its own, and where others start from."""
    seed_everything(config.loop.seed)
    policy = new_policy(config.policy, model).to(device)
    # Without several starts of each clip: as many clips as MPUR has rollouts.
    count = config.batch * config.unroll.starts.copies
    stream = ClipStream(
        source, config.policy.observation, 1, count, config.balance, config.loop.seed, device
    )
    stream.fit(policy.normalizer)
    identity = {
        "method": "imitation", "policy": to_json(config.policy), "batch": config.batch,
        "unroll": {"starts": {"copies": config.unroll.starts.copies}},
        "balance": to_json(config.balance), "loop": to_json(config.loop), "data": stream.identity,
    }  # fmt: skip
    draw, loss = imitation(policy)
    validate = held_out_loss(stream, draw, loss, config.loop)
    recipe = Recipe(stream.at, draw, loss, validate, batch=stream.batch)
    train(out, "policy", identity, config.loop, policy, recipe, "imitation")


def new_policy(config: NetworkPolicyConfig, model: WorldModel | None) -> NetworkPolicy:
    """An untrained policy; one on an embedding takes the model's encoder."""
    policy = config.build()
    if isinstance(policy.features, EmbeddingFeatures):
        assert model is not None
        policy.features.world_model.load_state_dict(model.state_dict())
    return policy


def _embeds(config: PolicyTraining) -> bool:
    return isinstance(config.policy.features, EmbeddingConfig)


def _fitted(config: PolicyTraining, model: WorldModel, unrolled: bool) -> PolicyTraining:
    """The configuration for this world model.

    Raises:
        InputError: policy and model observe different things.
    """
    if _embeds(config):
        features = EmbeddingConfig(model.config)
        config = replace(config, policy=replace(config.policy, features=features))
    if unrolled:
        config.policy.require_world(model, "the policy (--policy.features.observation.*, --preset)")
    return config


if __name__ == "__main__":
    run(main, presets=PRESETS)
    leave()
