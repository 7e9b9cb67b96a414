"""MPUR: a policy unrolled through the world model, with a penalty on the model's uncertainty.

Henaff, Canziani, LeCun: Model-Predictive Policy Learning with Uncertainty Regularization for
Driving in Dense Traffic (ICLR 2019), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..costs import DrivingCost, DrivingCostConfig, Uncertainty
from ..perception.observation import Observation
from ..policies.unroll import FixedTraffic, ModelTraffic, Traffic
from ..predictions import Rollout
from ..runtime.errors import InputError, require_not_negative
from ..runtime.loss_terms import Terms
from ..world_models import WorldModel
from .adversarial import AdversarialConfig
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
        view_weight: of leaving the view, in metres.
        hinge: standard deviations of disagreement that are free.
        discount: factor per model step.
        latents: drawn from the prior, or from the posterior, which knows what followed.
        starts: beginnings of each clip.
        adversarial: how often latents are made dangerous; see ``AdversarialConfig``.
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
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)

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
        """Replicas that are worth computing: one, where their disagreement does not count."""
        return self.replicas if self.uncertainty_weight > 0 else 1


def unroll_noise(
    model: WorldModel, observation: Observation, steps: int, generator: torch.Generator
) -> Float[Tensor, "batch time latent"]:
    """Noise for latents, as a model draws it that knows nothing of what follows."""
    like = observation.ego
    return model.noise(like, len(like), 1, steps, generator)[:, 0]


def predicted_traffic(
    model: WorldModel,
    observation: Observation,
    starts: Observation,
    noise: Float[Tensor, "batch time latent"],
    samples: int,
) -> Traffic:
    """One future for each start, as seen by several samples of a model: its replicas, as a rule.

    They share the latents, so that replicas differ in what the model does not know, not in what it
    cannot know.  Predictions that do not depend on the ego are made here and now, without
    gradients, since none can reach the actions through them; a model that is conditioned on the ego
    is advanced along its path as the policy drives.

    Args:
        model: any world model, or ``model.replicas(...)``.
        observation: recorded histories.
        starts: ``varied_starts`` of them; one prediction may serve all of a history's.
        noise: what decides between the futures, for each recorded history.
        samples: how many.
    """
    each = len(starts.ego) // len(observation.ego)
    if model.spec.conditioned_on_ego:
        return ModelTraffic(model, starts, noise.repeat_interleave(each, 0), samples)
    with torch.no_grad():
        shared = noise[:, None].expand(-1, samples, -1, -1)
        return FixedTraffic(model.rollout(observation, shared))


def policy_loss(rollout: Rollout, uncertainty: Uncertainty, config: UnrollConfig) -> Terms:
    """Discounted mean of driving costs and uncertainty along a rollout.

    A value at its end counts as the costs of further steps.
    """
    costs = DrivingCost(config.cost).evaluate(rollout)
    outside = rollout.prediction.outside_view_m(rollout.ego)
    each = costs.total + config.view_weight * outside
    named = {name: term.mean() for name, term in costs.terms.items()}
    if config.copies > 1:
        variances = uncertainty.variances(rollout, costs.vehicles)
        disagreement = uncertainty.disagreement(variances)
        each = each + config.uncertainty_weight * disagreement
        named["uncertainty"] = disagreement.mean()
    named |= {"outside_view": outside.mean(), "speed_mps": rollout.states[..., 3].mean()}
    steps = each.shape[2]
    discount = config.discount ** torch.arange(steps, device=each.device, dtype=each.dtype)
    total = (each * discount).mean()
    if rollout.value is not None:
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
    generator: torch.Generator,
) -> Float[Tensor, "batch kinds time"]:
    """What replicas disagree about along the recorded drivers' own paths: the scale of it."""
    replicas = model.replicas(config.replicas, generator)
    prediction = replicas.predict(
        observation, config.steps, replicas.count, generator, ego=expert[:, None]
    )
    rollout = Rollout(
        expert[:, None], actions[:, None], actions[:, None, 0], observation.size_m, prediction,
        model.step_s,
    )  # fmt: skip
    vehicles = DrivingCost(config.cost).evaluate(rollout).vehicles
    return uncertainty.variances(rollout, vehicles)[:, 0]
