"""How long a planner takes for a decision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from data.traffic import PRESETS, generate
from envs.core.scenario import ScenarioConfig, list_scenarios
from ppuu.loading.planner_names import PREFIX, PlannerName
from ppuu.policies.planning import PlanningPolicy
from ppuu.prediction_sources import ModelSource
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.device import use_threads
from ppuu.runtime.errors import InputError
from ppuu.world_models import PAPER, CoupledConfig, DecoupledConfig, TokensConfig, WorldModel

from ..driving.decision import choose_action
from ..driving.scenario_set import ScenarioSet
from ..statistics.metric import Row

UNTRAINED: dict[str, Callable[[], WorldModel]] = {
    "tokens": lambda: TokensConfig().build(),
    "decoupled": lambda: DecoupledConfig().build(),
    "coupled": lambda: CoupledConfig().build(),
    "coupled-ppuu": lambda: PAPER.build(),
}
"""World models built afresh: what they predict is wrong, how fast is not."""


_SLOW_PER_S = 1.0
_WARM_UP_SHARE = 0.2


@dataclass(frozen=True)
class PlanningBenchmark:
    """Milliseconds of a decision in generated dense traffic, observation included.

    Attributes:
        planners: by name, as after ``planner:``; a world (a run directory, what needs no training,
            or an untrained model: ``tokens``, ``decoupled``, ``coupled``, and ``coupled-ppuu`` of
            the size of PPUU's, for which the last row plans as PPUU does) and settings.
        environments: how many decide at once.
        seconds: of traffic.
        decisions: timed, after ``warm_up`` others.
        warm_up: untimed decisions.
        limit_s: after so many seconds no further decision of a row begins, and after a fifth of
            them none that is not timed.  Fewer than 20 timed ones have no 95th percentile.
            A planner that takes more than a second in one environment is not timed in several.
        threads: of torch; 0 leaves the number to it.
    """

    planners: tuple[str, ...] = (
        "tokens,samples=3", "tokens,samples=3,planner=icem", "tokens,samples=3,planner=mppi",
        "constant-acceleration", "recorded", "coupled,samples=3,starts=1,iterations=5",
        "coupled-ppuu,steps=30,samples=10,starts=1,iterations=5",
    )  # fmt: skip
    environments: tuple[int, ...] = (1, 64)
    seconds: float = 40.0
    decisions: int = 50
    warm_up: int = 5
    limit_s: float = 60.0
    threads: int = 0

    def run(self) -> list[Row]:
        """One row for each planner and number of environments."""
        if min(self.decisions, *self.environments) < 1 or self.warm_up < 0 or not self.limit_s > 0:
            raise InputError(
                "--decisions, --environments and --limit-s must be positive, --warm-up not negative"
            )
        use_threads(self.threads)
        scenario_set = _scenario_set(generate(PRESETS["dense"], self.seconds, seed=0))
        rows: list[Row] = []
        for name in self.planners:
            policy = _policy(name)
            for environments in sorted(self.environments):
                row = self._row(name, policy, scenario_set, environments)
                rows.append(row)
                if environments == 1 and row["decisions_per_s"] < _SLOW_PER_S:
                    break
        return rows

    def _row(
        self, name: str, policy: PlanningPolicy, scenario_set: ScenarioSet, environments: int
    ) -> dict[str, Any]:
        spent = np.array(self._seconds(policy, scenario_set, environments))
        parsed, config = PlannerName.parse(PREFIX + name), policy.config
        return {
            "name": f"{name}, {environments}",
            "planner": dict(parsed.settings).get("planner", "gradient"),
            "world": parsed.world,
            "environments": environments,
            "horizon_frames": config.steps * policy.source.frames_per_step,
            "samples": config.samples,
            "ms_median": float(1e3 * np.median(spent)),
            "ms_p95": float(1e3 * np.quantile(spent, 0.95)) if len(spent) >= 20 else math.nan,
            "decisions": len(spent),
            "decisions_per_s": float(environments / np.median(spent)),
            "threads": torch.get_num_threads(),
        }

    @torch.no_grad()
    def _seconds(
        self, policy: PlanningPolicy, scenario_set: ScenarioSet, environments: int
    ) -> list[float]:
        """Of each timed decision; the egos drive on between them, and from the start if need be."""
        scenarios = scenario_set.scenarios
        scenarios = scenarios[np.arange(environments) % len(scenarios)]
        simulator = scenario_set.simulator(policy)
        spent: list[float] = []
        simulator.reset(scenarios)
        policy.reset(torch.ones(environments, dtype=torch.bool))
        begun, warmed = time.perf_counter(), 0
        while len(spent) < self.decisions:
            passed_s = time.perf_counter() - begun
            if passed_s > self.limit_s and spent:
                break
            if bool(simulator.done.any()):
                simulator.reset(scenarios)
                policy.reset(torch.ones(environments, dtype=torch.bool))
            start = time.perf_counter()
            action = choose_action(policy, simulator)
            if warmed < self.warm_up and passed_s < _WARM_UP_SHARE * self.limit_s:
                warmed += 1
            else:
                spent.append(time.perf_counter() - start)
            simulator.step(action)
        return spent


def _policy(name: str) -> PlanningPolicy:
    """That plans at every decision."""
    parsed = PlannerName.parse(PREFIX + name)
    if parsed.world in UNTRAINED:
        torch.manual_seed(0)
        source = ModelSource(UNTRAINED[parsed.world]().requires_grad_(False).eval())
    else:
        source = parsed.build(f"--planners {name}").source
    config = parsed.config(f"--planners {name}")
    return PlanningPolicy(source, replace(config, replan_every=1))


def _scenario_set(recording: Recording) -> ScenarioSet:
    scenarios = list_scenarios(recording, ScenarioConfig(distance_m=60.0, context_frames=20))
    return ScenarioSet([recording], [], Scene.build([recording]), scenarios)
