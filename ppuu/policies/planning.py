"""Model-predictive control: a policy with a planner and a source of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..driving.motion import Drive, drive
from ..driving.vehicle_limits import VehicleLimits
from ..kinematics import action_between
from ..perception.observation import Observation
from ..perception.privileged_state import PrivilegedState
from ..planners import Plan
from ..prediction_sources.base import PredictionFunction, PredictionSource
from ..predictions import Prediction
from ..runtime.errors import InputError
from .base import Policy
from .initial_plans import cheapest, goal_plans, initial_plans
from .network import NetworkPolicy
from .plan_snapshot import PlanSnapshot
from .planning_config import PlanningConfig
from .planning_cost import PlanningCost
from .unroll import FixedTraffic, unroll


@dataclass(frozen=True, eq=False)
class Decision:
    """The last planning decision, for visualisation and diagnostics.

    Attributes:
        rows: ``(due,)`` the elements of the batch that were planned; all else refers to these.
        plan: result of the planner.
        cost: cost function of the planner.
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
        """Predicted surroundings of the plan."""
        return self.cost.rollout(self.plan.actions[:, None], self.cost.prediction).prediction

    @cached_property
    def snapshots(self) -> Mapping[int, PlanSnapshot]:
        """Snapshots by element of the batch."""
        paths = self.paths()[..., :2].cpu()
        costs, prediction = self.plan.candidate_costs.cpu(), self.prediction()
        start = self.cost.observation.ego[:, -1, :2].cpu()
        return {
            row: PlanSnapshot.take(paths[k], costs[k], start[k], prediction, k)
            for k, row in enumerate(self.rows.tolist())
        }


class PlanningPolicy(Policy):
    """Receding-horizon control with warm starts from the shifted previous plan.

    Between two plans the last plan is followed, with linear interpolation between its actions.
    (Holding each action for its step, as in the cost, succeeds as often and is less comfortable.)

    Actions of one element of the batch do not depend on the other elements or on earlier episodes:
    every plan uses the same random numbers from the seed, which also reduces jitter.

    Args:
        source: of predictions.
        config: of planning.
        proposal_policy: a learned policy whose rollout in the surroundings of the previous plan is
            the first initial plan, if given.

    Raises:
        InputError: the plan is shorter than the interval between plans, or the observation of the
            policy is not part of the source's.

    Attributes:
        decision: the last decision; None before the first.
    """

    def __init__(
        self,
        source: PredictionSource,
        config: PlanningConfig,
        proposal_policy: NetworkPolicy | None = None,
    ):
        if config.replan_every > config.steps * source.frames_per_step:
            raise InputError(
                f"planning: replan_every {config.replan_every} frames, but a plan of "
                f"{config.steps} steps ends after {config.steps * source.frames_per_step}"
            )
        if proposal_policy is not None and not source.observation.shows(
            proposal_policy.observation
        ):
            raise InputError(
                f"planning: the policy observes {proposal_policy.observation}, the prediction "
                f"source only {source.observation}"
            )
        self.source, self.config, self.proposal_policy = source, config, proposal_policy
        self.observation, self.privileged = source.observation, source.privileged
        self.decision: Decision | None = None
        self._plan: Tensor | None = None
        self._first: Tensor | None = None
        self._planned: tuple[Observation, Tensor, Tensor] | None = None

    def reset(self, episodes: Bool[Tensor, " batch"]) -> None:
        """Clears plans and last actions of these episodes."""
        if self._plan is None or len(self._plan) != len(episodes):
            batch = len(episodes)
            self._plan = torch.zeros(batch, self.config.steps, 2, device=episodes.device)
            self._action = self._plan.new_zeros(batch, 2)
            self._age = torch.zeros(batch, dtype=torch.int64, device=episodes.device)
            self._first = None
        self._plan[episodes] = 0.0
        self._age[episodes] = 0
        self._first = episodes.clone() if self._first is None else self._first | episodes

    def act(
        self, observation: Observation, privileged_state: PrivilegedState
    ) -> Float[Tensor, "batch 2"]:
        """The action for the coming frame.

        Raises:
            InputError: the recording's frame rate differs from the prediction source's.
        """
        ego = observation.ego[:, -1]
        if self._plan is None or len(self._plan) != len(ego):
            self.reset(torch.ones(len(ego), dtype=torch.bool, device=ego.device))
        assert self._plan is not None
        if self._first is not None:
            before = self._action_before(observation)
            self._action = torch.where(self._first[:, None], before, self._action)
            self._first = None
        due = (self._age % self.config.replan_every == 0).nonzero()[:, 0]
        if len(due) == len(ego):
            self._plan = self._replan(observation, privileged_state, due).clone()
        elif len(due):
            self._plan[due] = self._replan(observation.take(due), privileged_state.take(due), due)
        self._age[due] = 0
        largest = self.config.bounds.largest(self._plan)
        remaining = self._shifted(self._plan, self._age) * largest
        self._planned = observation, remaining, self._action
        limits = VehicleLimits.of(observation.size_m)
        self._action = limits.project(remaining[:, 0], self._action, ego[:, 3], self.source.dt_s)
        self._age = self._age + 1
        return self._action

    def _action_before(self, observation: Observation) -> Float[Tensor, "batch 2"]:
        """The ego's action before the first decision, from what it remembers of its states."""
        ego, step_s = observation.ego, self.source.observation.stride * self.source.dt_s
        before = action_between(ego[:, -2:][:, 0], ego[:, -1], step_s)
        return self.config.bounds.clamp(before)

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
        previous = self._shifted(self._plan[due], self._age[due])
        ego, goal = observation.ego[:, -1], observation.goal
        starts = initial_plans(previous, ego, config.bounds, self._step_s)[:, : config.starts]
        if goal is not None:
            fan = goal_plans(goal, ego, config.steps, config.bounds, self._step_s)
            starts = cheapest(cost, torch.cat([starts, fan], dim=1), config.starts)
        if self.proposal_policy is not None:
            proposal = self._proposal(
                self.proposal_policy, observation, prediction, previous, self._action[due]
            )
            starts = torch.cat([proposal[:, None], starts], dim=1)
        plan = config.planner.plan(cost, starts, generator, config.deadline_s)
        self.decision = Decision(due, plan, cost)
        return plan.actions

    @torch.no_grad()
    def _proposal(
        self,
        policy: NetworkPolicy,
        observation: Observation,
        prediction: PredictionFunction,
        plan: Float[Tensor, "due steps 2"],
        previous_action: Float[Tensor, "due 2"],
    ) -> Float[Tensor, "due steps 2"]:
        """Actions of a policy in the surroundings of a plan, in units of the bounds."""
        largest = self.config.bounds.largest(plan)
        actions = plan * largest
        surroundings = prediction(*self._candidate(observation, actions, previous_action))
        rollout = unroll(
            policy, FixedTraffic(surroundings), observation, previous_action, plan.shape[1],
            self.source.frames_per_step, self.source.dt_s,
        )  # fmt: skip
        return (rollout.actions[:, 0] / largest).clamp(-1.0, 1.0)

    def _candidate(
        self,
        observation: Observation,
        actions: Float[Tensor, "due steps 2"],
        previous_action: Float[Tensor, "due 2"],
    ) -> tuple[Float[Tensor, "due 1 steps 4"], Float[Tensor, "due 1 steps 2"]]:
        """States and actions as a single candidate."""
        path = self._drive(observation, actions, previous_action)
        return path.states[:, None], path.actions[:, None]

    def _drive(
        self,
        observation: Observation,
        actions: Float[Tensor, "batch steps 2"],
        previous_action: Float[Tensor, "batch 2"],
    ) -> Drive:
        limits, held = VehicleLimits.of(observation.size_m), self.source.frames_per_step
        ego = observation.ego[:, -1]
        return drive(ego, actions, previous_action, limits, self.source.dt_s, held)

    def networks(self) -> list[nn.Module]:
        """Networks of the source and of the proposal policy."""
        return [
            *self.source.networks(),
            *([] if self.proposal_policy is None else [self.proposal_policy]),
        ]

    def plan_snapshots(self) -> Mapping[int, PlanSnapshot]:
        """Snapshots of the elements planned last."""
        decision = self.decision
        return {} if decision is None else decision.snapshots

    def planned_path_m(self) -> Float[Tensor, "batch points 2"] | None:
        """Planned path of the last action, from the ego's position."""
        if self._planned is None:
            return None
        observation, actions, previous_action = self._planned
        path = self._drive(observation, actions, previous_action).states
        return torch.cat([observation.ego[:, -1:], path], dim=1)[..., :2]

    @property
    def _step_s(self) -> float:
        return self.source.frames_per_step * self.source.dt_s

    def _shifted(
        self, plan: Float[Tensor, "batch steps 2"], frames: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch steps 2"]:
        """The plan some frames later, with linear interpolation between steps."""
        last = plan.shape[1] - 1
        steps = (frames / self.source.frames_per_step)[:, None]
        first = torch.arange(last + 1, device=plan.device) + steps.long()

        def action_at(step: Int[Tensor, "batch steps"]) -> Float[Tensor, "batch steps 2"]:
            return plan.gather(1, step.clamp(max=last)[..., None].expand(-1, -1, 2))

        return torch.lerp(action_at(first), action_at(first + 1), steps.frac()[..., None].to(plan))
