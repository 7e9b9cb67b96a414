"""Policies by name: baselines, run directories of train.policy, and planners."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from data.splits import Part, seen_in_training
from ppuu.loading.planner_names import PREFIX, PlannerName
from ppuu.loading.policy_names import BASELINES, policy_by_name
from ppuu.policies import Policy
from ppuu.policies.device import to_device
from ppuu.recordings.recording import Recording
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError

from .sb3_agent import SUFFIX, Sb3Agent

PLANNER = PREFIX.removesuffix(":")


def with_planners(names: Sequence[str], world_models: Sequence[str]) -> list[str]:
    """The names with ``planner`` replaced by one planner for each world model.

    Raises:
        InputError: only one of the two was given.
    """
    if (PLANNER in names) != bool(world_models):
        raise InputError(
            "--policy planner and --world-model WORLD belong together: give both, the policy and "
            "what it predicts with, or neither"
        )
    planners = [PREFIX + world for world in world_models]
    return [one for name in names for one in (planners if name == PLANNER else [name])]


def labels(names: Sequence[str], option: str = "--policy") -> dict[str, str]:
    """A short name for each policy: the last part of a run's path, unless two paths share it.

    Raises:
        InputError: the same policy twice.
    """
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise InputError(f"{option} {twice[0]}: named twice")
    short = {name: _short(name) for name in names}
    shared = [label for label in short.values() if list(short.values()).count(label) > 1]
    return {name: name if label in shared else label for name, label in short.items()}


def policies_by_label(names: Sequence[str], device: str = "cpu") -> dict[str, Policy]:
    """Policies by their short names.

    Args:
        names: of policies.
        device: where their networks compute, as the command line names it.

    Raises:
        InputError: the same policy twice, an unknown one, or no such device.
    """
    where = choose_device(device)
    return {label: to_device(_driver(name), where) for name, label in labels(names).items()}


def _driver(name: str) -> Policy:
    return Sb3Agent(Path(name)) if name.endswith(SUFFIX) else policy_by_name(name)


def runs_by_label(world_models: Sequence[Path]) -> dict[str, Path]:
    """Run directories of world models by their short names.

    Raises:
        InputError: the same one twice.
    """
    short = labels([str(path) for path in world_models], "--world-model")
    return {name: Path(path) for path, name in short.items()}


def _short(name: str) -> str:
    if name.startswith(PREFIX):
        return PlannerName.parse(name).label
    return Path(name).name if Path(name).exists() else name


def training_of(name: str) -> dict | None:
    """The training configuration of a policy, or of a planner's world model.

    Of an ensemble, one configuration a run; None for what was not trained.
    """
    if name in BASELINES or name.endswith(SUFFIX):
        return None
    if name.startswith(PREFIX):
        parsed = PlannerName.parse(name)
        configs = {
            str(run): dict(Checkpoint.load(run, "world_model").config) for run in parsed.runs
        }
        if parsed.policy is not None:
            config = dict(Checkpoint.load(parsed.policy, "policy").config)
            configs[f"policy={parsed.policy}"] = config
        return configs if len(configs) > 1 else next(iter(configs.values()), None)
    return dict(Checkpoint.load(Path(name), "policy").config)


def warn_of_seen(
    label: str, training: Mapping | None, recordings: Sequence[Recording], parts: Sequence[Part]
) -> list[str]:
    """Warns if a model is about to be evaluated on frames that it was trained on.

    Returns:
        The names of their recordings, for the result file.
    """
    seen = seen_in_training(training, recordings, parts)
    if seen:
        sys.stderr.write(
            f"warning: {label} was trained on frames of {', '.join(seen)} that it is evaluated on; "
            "its results are too good\n"
        )
    return seen
