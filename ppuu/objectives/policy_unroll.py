"""MPUR: a policy unrolled through the world model, with a price on the model's uncertainty.

Henaff, Canziani, LeCun: Model-Predictive Policy Learning with Uncertainty Regularization for
Driving in Dense Traffic (ICLR 2019), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost, DrivingCostConfig, Uncertainty
from ..errors import InputError, require_not_negative
from ..kinematics import step
from ..learned_costs import ValueFunction
from ..observation import Observation
from ..policies.network import NetworkPolicy
from ..rollout import Futures, Rollout, in_time
from ..terms import Terms
from ..track_futures import TrackFutures
from ..world_models import Ensemble, WorldModel
from .dreaming import DreamConfig
from .starts import StartConfig


@dataclass(frozen=True)
class UnrollConfig:
    """How the policy is unrolled and judged.

    Attributes:
        steps: model steps; times the model's ``frames_per_step`` recorded frames (10 x 3 = PPUU's
            30). The policy decides once a model step and holds its action for the frames of it.
        replicas: dropout replicas of the model, sharing the latent (released code: 10).
        cost: driving costs.
        uncertainty_weight: of the replicas' disagreement; 0 switches MPUR's regulariser off.
        view_weight: of leaving the predicted image, in metres.
        hinge: standard deviations of disagreement that are free.
        discount: a model step's.
        latents: drawn from the prior, or from the posterior, which knows what followed.
        starts: beginnings of each clip.
        dream: how dangerous dreams become; see ``DreamConfig``.
    """

    steps: int = 10
    replicas: int = 4
    cost: DrivingCostConfig = field(default_factory=DrivingCostConfig)
    uncertainty_weight: float = 0.05
    view_weight: float = 0.1
    hinge: float = 0.5
    discount: float = 0.97
    latents: Literal["prior", "posterior"] = "prior"
    starts: StartConfig = field(default_factory=StartConfig)
    dream: DreamConfig = field(default_factory=DreamConfig)

    def __post_init__(self):
        if self.steps < 1 or self.replicas < 2:
            raise InputError(
                f"unroll of {self.steps} steps with {self.replicas} replicas: at least one step, "
                "and two replicas to disagree, are needed"
            )
        require_not_negative(
            "unroll", uncertainty_weight=self.uncertainty_weight, view_weight=self.view_weight,
            hinge=self.hinge,
        )  # fmt: skip
        if not 0 < self.discount <= 1:
            raise InputError(f"unroll: discount {self.discount} must be in (0, 1]")

    @property
    def copies(self) -> int:
        """Replicas that are worth imagining: one, where nobody asks what they disagree about."""
        return self.replicas if self.uncertainty_weight > 0 else 1


@runtime_checkable
class Surroundings(Protocol):
    """What the world looks like at a step (counted from 0)."""

    def __call__(
        self, number: int, ego: Float[Tensor, "batch 4"], action: Float[Tensor, "batch 2"]
    ) -> tuple[Futures | TrackFutures, Float[Tensor, "batch 4"]]:
        """The surroundings and the ego's state, given where the kinematics move the ego.

        The state is the given one, unless a model moves the ego itself.
        """
        ...


def from_prior(
    model: WorldModel, observation: Observation, steps: int
) -> Float[Tensor, "batch time latent"]:
    """Noise for latents as the model draws them when it knows nothing of what follows.

    To an ensemble's members the same latent means different things; they get its mean.
    """
    if isinstance(model, Ensemble):
        return observation.ego.new_zeros(len(observation.ego), steps, model.latent_size)
    return observation.ego.new_empty(len(observation.ego), steps, model.latent_size).normal_()


def replicas(
    model: WorldModel,
    observation: Observation,
    starts: Observation,
    latents: Float[Tensor, "batch time latent"],
    copies: int,
) -> Surroundings:
    """One future for each start, as seen by several dropout replicas of the model.

    The latents are shared by the replicas, so that replicas differ in what the model does not
    know, not in what it cannot know.  The futures of a decoupled model are imagined here and now,
    without gradients, since none can reach the actions through it; a coupled model is advanced
    along the ego's path as the policy drives.

    Args:
        model: any world model.
        observation: recorded histories.
        starts: ``varied_starts`` of them; a decoupled model's futures serve all of a history's.
        latents: what decides between the futures, for each recorded history.
        copies: replicas.
    """
    each = len(starts.ego) // len(observation.ego)
    steps = latents.shape[1]
    if model.decoupled:
        with torch.no_grad():
            shared = latents[:, None].expand(-1, copies, -1, -1)
            futures = model.imagine(observation, steps, copies, latents=shared)
        return lambda number, ego, action: (futures.at(number).repeat(each), ego)
    state, pace = model.repeat(model.encode(starts), copies), None
    latents = latents.repeat_interleave(each * copies, 0)

    def advance(
        number: int, ego: Float[Tensor, "batch 4"], action: Float[Tensor, "batch 2"]
    ) -> tuple[Futures | TrackFutures, Float[Tensor, "batch 4"]]:
        nonlocal state, pace
        told = ego.repeat_interleave(copies, 0)
        if model.predicts_ego:  # each replica has an ego of its own; all of them do the same
            action = action.repeat_interleave(copies, 0)
            told = held(model.predicted_ego(state), action, model.frames_per_step, model.dt_s)
        state = model.step(state, told, latents, number)
        ego = model.predicted_ego(state)[::copies] if model.predicts_ego else ego
        future = model.decode([state], starts, copies)
        if isinstance(future, Futures):
            future = model.paced(replace(future, pace_mps=pace), starts)
            assert isinstance(future, Futures)
            pace = future.pace_mps
        return future, ego

    return advance


def held(
    ego: Float[Tensor, "batch 4"], action: Float[Tensor, "batch 2"], frames: int, dt_s: float
) -> Float[Tensor, "batch 4"]:
    """The ego's state after an action was held for some frames."""
    for _ in range(frames):
        ego = step(ego, action, dt_s)
    return ego


def unroll(
    policy: NetworkPolicy,
    surroundings: Surroundings,
    observation: Observation,
    previous_action: Float[Tensor, "batch 2"],
    steps: int,
    frames_per_step: int,
    dt_s: float,
    value: ValueFunction | None = None,
) -> Rollout:
    """Drives the policy through imagined surroundings; a value function judges where it ends.

    The first replica's surroundings, as seen from where the ego has got to, are what the policy
    sees next; they enter as constants, so gradients run through actions, ego states and masks.
    """
    seen, ego = observation, observation.ego[:, -1]
    states, actions, futures = [], [], []
    for number in range(steps):
        action = policy(seen)
        moved = held(ego, action, frames_per_step, dt_s)
        future, ego = surroundings(number, moved, action)
        states.append(ego)
        actions.append(action)
        futures.append(future)
        if number + 1 < steps or value is not None:
            seen = seen.followed_by(future, ego)
    return Rollout(
        states=torch.stack(states, dim=1),
        actions=torch.stack(actions, dim=1),
        previous_action=previous_action,
        size_m=observation.size_m,
        futures=in_time(futures),
        step_s=frames_per_step * dt_s,
        value=None if value is None else value(seen),
    )


def policy_loss(rollout: Rollout, uncertainty: Uncertainty, config: UnrollConfig) -> Terms:
    """Discounted mean of driving costs and uncertainty along a rollout.

    A value at its end counts as the costs of further steps.
    """
    cost = DrivingCost(config.cost)
    terms, replica_costs = cost.evaluate(rollout)
    beyond = uncertainty.beyond_view(rollout)
    each = cost.total(terms) + config.view_weight * beyond
    named = {name: term.mean() for name, term in terms.items()}
    if config.copies > 1:
        variances = uncertainty.variances(rollout, replica_costs)
        disagreement = uncertainty.disagreement(variances)
        each = each + config.uncertainty_weight * disagreement
        named["uncertainty"] = disagreement.mean()
    named |= {"beyond_view": beyond.mean(), "speed_mps": rollout.states[..., 3].mean()}
    discount = config.discount ** torch.arange(each.shape[1], device=each.device, dtype=each.dtype)
    total = (each * discount).mean()
    if rollout.value is not None:
        steps = each.shape[1]
        named["value"] = rollout.value.mean()
        total = total + config.discount**steps * named["value"] / steps
    return Terms(total, named)


@torch.no_grad()
def expert_variances(
    model: WorldModel,
    observation: Observation,
    expert: Float[Tensor, "batch time 4"],
    actions: Float[Tensor, "batch time 2"],
    config: UnrollConfig,
    uncertainty: Uncertainty,
) -> Float[Tensor, "batch kinds time"]:
    """What replicas disagree about along the recorded drivers' own paths: the scale of it."""
    latents = from_prior(model, observation, config.steps)
    futures = model.imagine(
        observation,
        config.steps,
        config.replicas,
        ego=expert,
        latents=latents[:, None].expand(-1, config.replicas, -1, -1),
    )
    rollout = Rollout(expert, actions, actions[:, 0], observation.size_m, futures, model.step_s)
    return uncertainty.variances(rollout, DrivingCost(config.cost).evaluate(rollout)[1])
