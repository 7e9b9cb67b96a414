"""Policies by name: baselines, run directories of ``train.policy``, planners."""

from __future__ import annotations

from pathlib import Path

from ..policies.base import Policy
from ..policies.baselines import NoAction, Random, RecordedHuman, StraightIdm
from ..runtime.errors import InputError
from ..runtime.pretrained import is_run
from .planner_names import PREFIX, PlannerName
from .runs import load_policy

BASELINES: dict[str, type[Policy]] = {
    "human": RecordedHuman,
    "random": Random,
    "no-action": NoAction,
    "idm": StraightIdm,
}


def policy_by_name(name: str, option: str = "--policy") -> Policy:
    """A baseline, the trained policy in a run directory, or a planning policy.

    Args:
        name: of a baseline or a run directory, or ``planner:WORLD[,KEY=VALUE…]``.
        option: of the command line, for messages.

    Raises:
        InputError: unknown name.
    """
    if name in BASELINES:
        return BASELINES[name]()
    if name.startswith(PREFIX):
        return PlannerName.parse(name, option).build(f"{option} {name}")
    if not is_run(name):
        raise InputError(
            f"{option} {name}: neither a run directory nor one of {', '.join(BASELINES)}, "
            f"{PREFIX}WORLD, pretrained"
        )
    return load_policy(Path(name))
