"""Planning policies by name: ``planner:WORLD[,KEY=VALUE…]``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..planners import PLANNERS
from ..policies.planning import PlanningConfig, PlanningPolicy
from ..prediction_sources import (
    ModelSource,
    PredictionSource,
    RasterizedSource,
    RecordedSource,
    SimulatorSource,
)
from ..runtime.config import nearest, with_settings
from ..runtime.errors import InputError
from ..runtime.pretrained import is_run
from ..world_models import ConstantAcceleration, ConstantVelocity, CopyLast, IdmRollForward
from .runs import load_policy, load_world_models

PREFIX = "planner:"
_POLICY = "policy"

WORLDS: dict[str, Callable[[], PredictionSource]] = {
    "recorded": RecordedSource,
    "recorded-images": lambda: RasterizedSource(RecordedSource()),
    "simulator": SimulatorSource,
    "copy-last": lambda: ModelSource(CopyLast()),
    "constant-velocity": lambda: ModelSource(ConstantVelocity()),
    "constant-acceleration": lambda: ModelSource(ConstantAcceleration()),
    "idm": lambda: ModelSource(IdmRollForward()),
}
"""Prediction sources without training; the first three are privileged (bounds, not drivers)."""


@dataclass(frozen=True)
class PlannerName:
    """Parsed name of a planning policy.

    Attributes:
        world: one of ``WORLDS``, or a run directory of ``train.world_model``, or several
            (``RUN+RUN``, an ensemble).
        settings: keys and values as text: ``planner`` (one of ``PLANNERS``), its fields
            (``iterations``, ``samples``, …) and those of ``PlanningConfig`` (``steps``,
            ``samples``, ``cost.lane_speed.weight``, …).
        policy: run directory of ``train.policy`` that proposes the first initial plan, if any.
    """

    world: str
    settings: tuple[tuple[str, str], ...] = ()
    policy: Path | None = None

    @classmethod
    def parse(cls, name: str, option: str = "--policy") -> PlannerName:
        """Parses a name without loading anything.

        Raises:
            InputError: no world, or a setting without value or given twice.
        """
        world, *parts = name.removeprefix(PREFIX).split(",")
        if not world:
            raise InputError(f"{option} {name}: name a world, such as {PREFIX}recorded")
        pairs: list[tuple[str, str]] = []
        for setting in parts:
            key, equals, value = setting.partition("=")
            if not (key and equals and value):
                raise InputError(f"{option} {name}: '{setting}' is not of the form KEY=VALUE")
            if key in dict(pairs):
                raise InputError(f"{option} {name}: '{key}' is set twice")
            pairs.append((key, value))
        policy = dict(pairs).get(_POLICY)
        settings = tuple(pair for pair in pairs if pair[0] != _POLICY)
        return cls(world, settings, None if policy is None else Path(policy))

    @property
    def runs(self) -> list[Path]:
        """Run directories of a learned world model; several form an ensemble."""
        if self.world in WORLDS:
            return []
        return [Path(self.world)] if is_run(self.world) else [*map(Path, self.world.split("+"))]

    @property
    def label(self) -> str:
        """The name with the names of run directories instead of their paths."""
        world = "+".join(run.name for run in self.runs) or self.world
        policy = [] if self.policy is None else [(_POLICY, self.policy.name)]
        settings = [f"{key}={value}" for key, value in (*policy, *self.settings)]
        return ",".join([PREFIX + world, *settings])

    def config(self, where: str) -> PlanningConfig:
        """The default configuration with the settings applied.

        Raises:
            InputError: an unknown key or planner, or an invalid value.
        """
        name = dict(self.settings).get("planner")
        config = PlanningConfig()
        if name is not None:
            if name not in PLANNERS:
                raise InputError(
                    f"{where}: no planner '{name}'; did you mean '{nearest(name, [*PLANNERS])}'"
                    f"? There are {', '.join(PLANNERS)}"
                )
            config = dataclasses.replace(config, planner=PLANNERS[name])
        planner_settings, policy_settings = [], []
        for key, value in self.settings:
            if key != "planner":
                of_planner = _belongs_to_planner(config, key, where)
                (planner_settings if of_planner else policy_settings).append((key, value))
        planner = with_settings(config.planner, planner_settings, where)
        return dataclasses.replace(with_settings(config, policy_settings, where), planner=planner)

    def build(self, where: str) -> PlanningPolicy:
        """Builds the policy.

        Raises:
            InputError: see ``config``; or an unknown world.
        """
        config = self.config(where)
        proposal_policy = None
        if self.policy is not None:
            if not is_run(self.policy):
                raise InputError(f"{where}: policy {self.policy} is not a run directory")
            proposal_policy = load_policy(self.policy)
        if not self.runs:
            if config.uncertainty_weight:
                raise InputError(
                    f"{where}: '{self.world}' is not a learned world model and has no replicas; "
                    "leave out uncertainty_weight"
                )
            return PlanningPolicy(WORLDS[self.world](), config, proposal_policy)
        for run in self.runs:
            if not is_run(run):
                raise InputError(
                    f"{where}: world '{run}' is neither a run directory of train.world_model nor "
                    f"one of {', '.join(WORLDS)}; did you mean '{nearest(str(run), [*WORLDS])}'?"
                )
        return PlanningPolicy(ModelSource(load_world_models(self.runs)), config, proposal_policy)


def _belongs_to_planner(config: PlanningConfig, key: str, where: str) -> bool:
    """Whether a setting belongs to the planner, otherwise to the policy.

    Raises:
        InputError: unknown key.
    """
    first, planner = key.split(".")[0], config.planner
    of_planner, of_policy = _fields(planner), [n for n in _fields(config) if n != "planner"]
    if first not in of_planner and first not in of_policy:
        parts = [f"{part}.{own}" for part in of_planner for own in _fields(getattr(planner, part))]
        names = [*parts, *of_planner, *of_policy, "planner", _POLICY]
        known = {name.split(".")[-1]: name for name in names}
        close = known[nearest(key.split(".")[-1], [*known])]
        raise InputError(f"{where}: unknown key '{key}'; did you mean '{close}'?")
    return first in of_planner


def _fields(config: Any) -> list[str]:
    if not dataclasses.is_dataclass(config):
        return []
    return [field.name for field in dataclasses.fields(config)]
