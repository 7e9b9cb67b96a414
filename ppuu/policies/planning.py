"""Model-predictive control: a policy that owns a planner and a world to plan in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..costs import DrivingCost, DrivingCostConfig
from ..errors import InputError
from ..kinematics import ActionBounds, rollout
from ..observation import Observation
from ..planners import GradientPlanner, Plan, Planner
from ..rollout import Rollout
from ..units import LANE_WIDTH_M
from ..worlds.base import Foresight, World
from .base import Policy, Surroundings


@dataclass(frozen=True)
class PlanningConfig:
    """How the policy plans.

    Attributes:
        planner: searches the action sequences.
        steps: of the world, how far to look; an action is held for one.
        futures: sampled alternatives.
        merge: how their costs become one: ``mean``, ``max``, or ``cvar`` (the mean of the dearest
            third).
        replan_every: frames between plans; between them the last plan is followed.
        discount: of a step.
        cost: what to lower.
        bounds: of the actions.
        deadline_s: time for a plan of the whole batch; without, all iterations are done.
        seed: of sampled futures and sampling planners.
    """

    planner: Planner = field(default_factory=GradientPlanner)
    steps: int = 10
    futures: int = 1
    merge: Literal["mean", "max", "cvar"] = "mean"
    replan_every: int = 1
    discount: float = 0.97
    cost: DrivingCostConfig = field(default_factory=DrivingCostConfig)
    bounds: ActionBounds = field(default_factory=ActionBounds)
    deadline_s: float | None = None
    seed: int = 0

    def __post_init__(self):
        if min(self.steps, self.futures, self.replan_every) < 1:
            raise InputError(
                f"planning: steps {self.steps}, futures {self.futures} and replan_every "
                f"{self.replan_every} must be positive"
            )


class PlanningPolicy(Policy):
    """Plans ahead, does the beginning of the plan, and plans again from the shifted rest.

    Args:
        world: where action sequences are tried out.
        config: how.

    Attributes:
        last_plan: what the planner found last, for pictures and diagnostics.
    """

    def __init__(self, world: World, config: PlanningConfig):
        self.world, self.config = world, config
        self.observation = world.observation
        self.last_plan: Plan | None = None
        self._generator = torch.Generator().manual_seed(config.seed)
        self._plan: Tensor | None = None

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        """Forgets plans and last actions of these episodes."""
        if self._plan is None or len(self._plan) != len(episodes):
            self._generator.manual_seed(self.config.seed)
            batch = len(episodes)
            self._plan = torch.zeros(batch, self.config.steps, 2, device=episodes.device)
            self._action = self._plan.new_zeros(batch, 2)
            self._age = torch.zeros(batch, dtype=torch.int64, device=episodes.device)
        self._plan[episodes] = 0.0
        self._action[episodes] = 0.0
        self._age[episodes] = 0

    def act(self, observation: Observation, surroundings: Surroundings) -> Float[Tensor, "batch 2"]:
        """The action for the coming frame."""
        if self._plan is None or len(self._plan) != len(observation.ego):
            everybody = torch.ones(len(observation.ego), dtype=torch.bool)
            self.reset(everybody.to(observation.ego.device))
        assert self._plan is not None
        due = (self._age % self.config.replan_every == 0).nonzero()[:, 0]
        if len(due) == len(self._plan):
            self._plan = self._replan(observation, surroundings, self._plan, self._action)
        elif len(due):
            self._plan[due] = self._replan(
                observation.take(due), surroundings.take(due), self._plan[due], self._action[due]
            )
        self._action = self._plan[:, 0] * self.config.bounds.largest(self._plan)
        self._plan = self._one_frame_later(self._plan)
        self._age = self._age + 1
        return self._action

    def _replan(
        self,
        observation: Observation,
        surroundings: Surroundings,
        plan: Float[Tensor, "batch steps 2"],
        action: Float[Tensor, "batch 2"],
    ) -> Float[Tensor, "batch steps 2"]:
        config = self.config
        with torch.random.fork_rng(devices=[]):
            # The world's own randomness follows from the policy's seed, too.
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=self._generator)))
            foresight = self.world.foresee(observation, surroundings, config.steps, config.futures)
        starts = manoeuvres(plan, observation.ego[:, -1], self.config.bounds, self._step_s)
        cost = PlanningCost(observation, action, foresight, config, self._step_s)
        found = config.planner.plan(cost, starts, self._generator, config.deadline_s)
        self.last_plan = found
        return found.actions

    @property
    def _step_s(self) -> float:
        return self.world.frames_per_step * self.world.dt_s

    def _one_frame_later(self, plan: Float[Tensor, "batch steps 2"]) -> Tensor:
        """The same plan, seen a frame later; what is held for a step moves on by a part of it."""
        later = torch.cat([plan[:, 1:], plan[:, -1:]], dim=1)
        part = 1.0 / self.world.frames_per_step
        return (1.0 - part) * plan + part * later


def manoeuvres(
    plan: Float[Tensor, "batch steps 2"],
    ego: Float[Tensor, "batch 4"],
    bounds: ActionBounds,
    step_s: float,
) -> Float[Tensor, "batch 5 steps 2"]:
    """Where to begin: the old plan, keep on, a lane to the left, to the right, and braking."""
    steps = plan.shape[1]
    half = 0.5 * steps * step_s
    # An S of curvature ±k shifts by k v² t², t half its duration.
    curvature = LANE_WIDTH_M / (ego[:, 3].clamp(min=3.0) * half).square()
    curvature = (curvature / bounds.curvature_radpm).clamp(max=0.8)
    turn = torch.ones(steps, device=plan.device)
    turn[steps // 2 :] = -1.0
    keep = torch.zeros_like(plan)
    left = torch.stack([torch.zeros_like(keep[..., 0]), curvature[:, None] * turn], dim=-1)
    brake = keep.clone()
    brake[..., 0] = -0.5
    return torch.stack([plan, keep, left, -left, brake], dim=1)


@dataclass(frozen=True, eq=False)
class PlanningCost:
    """Costs of action sequences in units of their bounds: what a planner gets to see.

    Attributes:
        observation: where it begins.
        previous_action: ``(batch, 2)`` in physical units.
        foresight: what will surround the ego.
        config: costs, discount and merging.
        step_s: seconds an action is held.
    """

    observation: Observation
    previous_action: Float[Tensor, "batch 2"]
    foresight: Foresight
    config: PlanningConfig
    step_s: float

    def __call__(
        self, actions: Float[Tensor, "batch samples steps 2"]
    ) -> Float[Tensor, "batch samples"]:
        """Discounted mean over the steps."""
        samples = actions.shape[1]
        physical = actions.flatten(0, 1) * self.config.bounds.largest(actions)
        start = self.observation.ego[:, -1].repeat_interleave(samples, 0)
        states = rollout(start, physical, self.step_s)
        imagined = Rollout(
            states,
            physical,
            self.previous_action.repeat_interleave(samples, 0),
            self.observation.size_m.repeat_interleave(samples, 0),
            self.foresight(states, physical),
            self.step_s,
        )
        cost = DrivingCost(self.config.cost)
        terms, by_future = cost.evaluate(imagined)
        # The part that differs between futures is merged, the rest is added once.
        alone = cost.total(terms) - by_future.mean(1)
        discount = self.config.discount ** torch.arange(
            actions.shape[2], device=actions.device, dtype=actions.dtype
        )
        traffic = (by_future * discount).mean(-1)
        total = (alone * discount).mean(-1) + merged(traffic, self.config.merge)
        return total.view(-1, samples)


def merged(
    costs: Float[Tensor, "rows futures"], how: Literal["mean", "max", "cvar"]
) -> Float[Tensor, " rows"]:
    """One cost for several futures."""
    if how == "max":
        return costs.amax(1)
    if how == "cvar":
        dearest = max(1, round(costs.shape[1] / 3))
        return costs.topk(dearest, dim=1).values.mean(1)
    return costs.mean(1)
