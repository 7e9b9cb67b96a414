"""Model-predictive control: a policy that owns a planner and a world to plan in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..kinematics import ActionBounds, rollout
from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..planners import Plan
from ..prediction_sources.base import PredictionFunction, PredictionSource
from ..predictions import Prediction
from ..runtime.errors import InputError
from ..units import LANE_WIDTH_M
from .base import Policy
from .network import NetworkPolicy
from .plan_snapshot import PlanSnapshot
from .planning_config import PlanningConfig
from .planning_cost import PlanningCost
from .unroll import FixedTraffic, unroll

_SLOWEST_MPS = 4.0

__all__ = ["Decision", "PlanningConfig", "PlanningCost", "PlanningPolicy", "manoeuvres"]


@dataclass(frozen=True, eq=False)
class Decision:
    """What the policy considered when it last planned, for pictures and diagnostics.

    Attributes:
        rows: ``(due,)`` the elements of the batch that planned then; all else is of these alone.
        plan: what the planner found.
        cost: what it lowered.
    """

    rows: Int[Tensor, " due"]
    plan: Plan
    cost: PlanningCost

    @torch.no_grad()
    def paths(self) -> Float[Tensor, "due candidates steps 4"]:
        """The candidates' states."""
        return self.cost.rollout(self.plan.candidates, self.cost.prediction).states

    @torch.no_grad()
    def prediction(self) -> Prediction:
        """What surrounds the plan."""
        return self.cost.rollout(self.plan.actions[:, None], self.cost.prediction).prediction

    @cached_property
    def snapshots(self) -> Mapping[int, PlanSnapshot]:
        """By element of the batch."""
        paths = self.paths()[..., :2].cpu()
        costs, prediction = self.plan.candidate_costs.cpu(), self.prediction()
        start = self.cost.observation.ego[:, -1, :2].cpu()
        return {
            row: PlanSnapshot.take(paths[k], costs[k], start[k], prediction, k)
            for k, row in enumerate(self.rows.tolist())
        }


class PlanningPolicy(Policy):
    """Plans ahead, does the beginning of the plan, and plans again from the shifted rest.

    Until it plans again it does what it had planned, and goes over from one action to the next
    frame by frame.  Each could as well be held for its step, as it was when it was weighed: that
    succeeds as often and is less comfortable.

    Nothing it does for one element of the batch depends on the others, or on earlier episodes:
    every plan draws the same chances from the seed (which keeps plans from trembling, too).

    Args:
        source: where action sequences are tried out.
        config: how.
        seed: a learned policy whose own drive every search begins with, before all other starts;
            imagined among those who surround the old plan.

    Raises:
        InputError: the plan ends before it is made anew, or the source does not see what the policy
            looks at.

    Attributes:
        decision: the last one; None before the first.
    """

    def __init__(
        self, source: PredictionSource, config: PlanningConfig, seed: NetworkPolicy | None = None
    ):
        if config.replan_every > config.steps * source.frames_per_step:
            raise InputError(
                f"planning: replan_every {config.replan_every} frames, but a plan of "
                f"{config.steps} steps ends after {config.steps * source.frames_per_step}"
            )
        seen, wanted = source.observation, None if seed is None else seed.observation
        if wanted is not None and not seen.shows(wanted):
            raise InputError(f"planning: policy looks at {wanted}, the world to plan in at {seen}")
        self.source, self.config, self.seed = source, config, seed
        self.observation, self.privileged = source.observation, source.privileged
        self.decision: Decision | None = None
        self._plan: Tensor | None = None
        self._intended: tuple[Tensor, Tensor] | None = None

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        """Forgets plans and last actions of these episodes."""
        if self._plan is None or len(self._plan) != len(episodes):
            batch = len(episodes)
            self._plan = torch.zeros(batch, self.config.steps, 2, device=episodes.device)
            self._action = self._plan.new_zeros(batch, 2)
            self._age = torch.zeros(batch, dtype=torch.int64, device=episodes.device)
        self._plan[episodes] = 0.0
        self._action[episodes] = 0.0
        self._age[episodes] = 0

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The action for the coming frame.

        Raises:
            InputError: the recording's frames and the world's are not equally far apart.
        """
        ego = observation.ego[:, -1]
        if self._plan is None or len(self._plan) != len(ego):
            self.reset(torch.ones(len(ego), dtype=torch.bool, device=ego.device))
        assert self._plan is not None
        due = (self._age % self.config.replan_every == 0).nonzero()[:, 0]
        if len(due) == len(ego):
            self._plan = self._replan(observation, privileged_state, due).clone()
        elif len(due):
            self._plan[due] = self._replan(observation.take(due), privileged_state.take(due), due)
        self._age[due] = 0
        largest = self.config.bounds.largest(self._plan)
        rest = self._later(self._plan, self._age) * largest
        # A copy, since it is set to zero when an episode begins.
        self._intended, self._action = (ego, rest), rest[:, 0].clone()
        self._age = self._age + 1
        return rest[:, 0]

    def _replan(
        self, observation: Observation, privileged_state: PrivilegedState, due: Int[Tensor, " due"]
    ) -> Float[Tensor, "due steps 2"]:
        assert self._plan is not None
        config, source = self.config, self.source
        if abs(privileged_state.scene.dt_s - source.dt_s) > 1e-6:
            raise InputError(
                f"{privileged_state.scene.dt_s:g} s between the recording's frames, but the "
                f"planner's world works with {source.dt_s:g} s; prepare the recording at that rate"
            )
        generator = torch.Generator().manual_seed(config.seed)
        prediction = source.predict(
            observation, privileged_state, config.steps, config.samples, generator
        )
        replicas = None
        if config.uncertainty_weight:
            replicas = source.replicas(observation, config.steps, config.replicas, generator)
        cost = PlanningCost(
            observation, self._action[due], prediction, replicas, config, source.frames_per_step,
            source.dt_s,
        )  # fmt: skip
        old = self._later(self._plan[due], self._age[due])
        starts = manoeuvres(old, observation.ego[:, -1], config.bounds, self._step_s)
        starts = starts[:, : config.starts]
        if self.seed is not None:
            proposed = self._proposed(self.seed, observation, prediction, old, self._action[due])
            starts = torch.cat([proposed[:, None], starts], dim=1)
        plan = config.planner.plan(cost, starts, generator, config.deadline_s)
        self.decision = Decision(due, plan, cost)
        return plan.actions

    @torch.no_grad()
    def _proposed(
        self,
        policy: NetworkPolicy,
        observation: Observation,
        prediction: PredictionFunction,
        plan: Float[Tensor, "due steps 2"],
        previous_action: Float[Tensor, "due 2"],
    ) -> Float[Tensor, "due steps 2"]:
        """What a policy would do, in units of the bounds."""
        largest = self.config.bounds.largest(plan)
        actions = plan * largest
        around = prediction(*self._driven(observation, actions))
        drive = unroll(
            policy, FixedTraffic(around), observation, previous_action, plan.shape[1],
            self.source.frames_per_step, self.source.dt_s,
        )  # fmt: skip
        return (drive.actions[:, 0] / largest).clamp(-1.0, 1.0)

    def _driven(
        self, observation: Observation, actions: Float[Tensor, "due steps 2"]
    ) -> tuple[Float[Tensor, "due 1 steps 4"], Float[Tensor, "due 1 steps 2"]]:
        """Where actions lead, and they themselves, as one candidate."""
        states = self._moved(observation.ego[:, -1], actions)
        return states[:, None], actions[:, None]

    def _moved(
        self, ego: Float[Tensor, "batch 4"], actions: Float[Tensor, "batch steps 2"]
    ) -> Float[Tensor, "batch steps 4"]:
        return rollout(ego, actions, self.source.dt_s, held=self.source.frames_per_step)

    def networks(self) -> list[nn.Module]:
        """The source's, and the policy that proposes plans."""
        return [*self.source.networks(), *([] if self.seed is None else [self.seed])]

    def plan_snapshots(self) -> Mapping[int, PlanSnapshot]:
        """Of the elements that planned last; the others keep what they had."""
        decision = self.decision
        return {} if decision is None else decision.snapshots

    def planned_path_m(self) -> Float[Tensor, "batch points 2"] | None:
        """Where it meant to drive when it last acted, the place where it stood included."""
        if self._intended is None:
            return None
        ego, actions = self._intended
        path = self._moved(ego, actions)
        return torch.cat([ego[:, None], path], dim=1)[..., :2]

    @property
    def _step_s(self) -> float:
        return self.source.frames_per_step * self.source.dt_s

    def _later(
        self, plan: Float[Tensor, "batch steps 2"], frames: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch steps 2"]:
        """The same plan, seen some frames later; what is held for a step moves on by a part."""
        last = plan.shape[1] - 1
        passed = (frames / self.source.frames_per_step)[:, None]
        first = torch.arange(last + 1, device=plan.device) + passed.long()

        def held(step: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps 2"]:
            return plan.gather(1, step.clamp(max=last)[..., None].expand(-1, -1, 2))

        return torch.lerp(held(first), held(first + 1), passed.frac()[..., None].to(plan))


def manoeuvres(
    plan: Float[Tensor, "batch steps 2"],
    ego: Float[Tensor, "batch 4"],
    bounds: ActionBounds,
    step_s: float,
) -> Float[Tensor, "batch 5 steps 2"]:
    """Where to begin: the old plan, keep on, a lane to the left, to the right, and braking.

    Who stands or crawls pulls away to the side: steering alone would make no difference.
    """
    steps = plan.shape[1]
    half = 0.5 * steps * step_s
    # An S of curvature ±k shifts by k v² t², t half its duration.
    speed = ego[:, 3].clamp(min=_SLOWEST_MPS)
    curvature = LANE_WIDTH_M / (speed * half).square() / bounds.curvature_radpm
    turn = torch.ones(steps, device=plan.device)
    turn[(steps + 1) // 2 :] = -1.0
    left = torch.zeros_like(plan)
    left[..., 0] = ((speed - ego[:, 3]) / half / bounds.acceleration_mps2)[:, None] * (turn > 0)
    left[..., 1] = curvature.clamp(max=0.8)[:, None] * turn
    right = left * left.new_tensor([1.0, -1.0])
    brake = torch.zeros_like(plan)
    brake[..., 0] = -0.5
    return torch.stack([plan, torch.zeros_like(plan), left, right, brake], dim=1)
