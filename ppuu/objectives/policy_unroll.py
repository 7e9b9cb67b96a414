"""MPUR: policy learning in a world model, with a penalty on the model's uncertainty.

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
    """Configuration of the policy's rollout and its loss.

    Attributes:
        steps: model steps of ``frames_per_step`` frames each (10 x 3 = PPUU's 30). The policy acts
            once for each model step.
        replicas: dropout replicas of the model, with shared latents (released code: 10).
        cost: driving cost.
        uncertainty_weight: of the replicas' disagreement; 0 disables MPUR's regulariser.
        view_weight: of the distance outside the field of view, per metre.
        hinge: standard deviations of disagreement without penalty.
        discount: factor per model step.
        latents: sampled from the prior, or from the posterior, which observes the future.
        starts: initial states of each clip.
        adversarial: see ``AdversarialConfig``.
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
                f"unroll: steps {self.steps} must be at least 1, replicas {self.replicas} "
                "at least 2"
            )
        require_not_negative(
            "unroll", uncertainty_weight=self.uncertainty_weight, view_weight=self.view_weight,
            hinge=self.hinge,
        )  # fmt: skip
        if not 0 < self.discount <= 1:
            raise InputError(f"unroll: discount {self.discount} must be in (0, 1]")

    @property
    def active_replicas(self) -> int:
        """Number of replicas to compute: 1 if their disagreement has no weight."""
        return self.replicas if self.uncertainty_weight > 0 else 1


def rollout_noise(
    model: WorldModel, observation: Observation, steps: int, generator: torch.Generator
) -> Float[Tensor, "batch time latent"]:
    """Noise of latents from the model's prior."""
    like = observation.ego
    return model.noise(like, len(like), 1, steps, generator)[:, 0]


def predicted_traffic(
    model: WorldModel,
    observation: Observation,
    starts: Observation,
    noise: Float[Tensor, "batch time latent"],
    samples: int,
) -> Traffic:
    """One sampled future for each initial state, predicted by several replicas of a model.

    Replicas share the latents, so that they differ by epistemic, not by aleatoric uncertainty.
    Predictions that do not depend on the ego are computed here without gradients, since none reach
    the actions; a model that is conditioned on the ego is advanced along the policy's path.

    Args:
        model: any world model, or ``model.replicas(...)``.
        observation: recorded histories.
        starts: ``perturbed_starts`` of these; those of one history may share a prediction.
        noise: of the latents, for each recorded history.
        samples: number of samples or replicas.
    """
    starts_per_history = len(starts.ego) // len(observation.ego)
    if model.spec.conditioned_on_ego:
        return ModelTraffic(model, starts, noise.repeat_interleave(starts_per_history, 0), samples)
    with torch.no_grad():
        shared = noise[:, None].expand(-1, samples, -1, -1)
        return FixedTraffic(model.rollout(observation, shared))


def policy_loss(rollout: Rollout, uncertainty: Uncertainty, config: UnrollConfig) -> Terms:
    """Discounted mean of driving cost and uncertainty along a rollout.

    A terminal value is added as the cost of further steps.
    """
    costs = DrivingCost(config.cost).evaluate(rollout)
    outside = rollout.prediction.outside_view_m(rollout.ego)
    per_step = costs.total + config.view_weight * outside
    named = {name: term.mean() for name, term in costs.terms.items()}
    if config.active_replicas > 1:
        variances = uncertainty.variances(rollout, costs.vehicle_cost)
        disagreement = uncertainty.disagreement(variances)
        per_step = per_step + config.uncertainty_weight * disagreement
        named["uncertainty"] = disagreement.mean()
    named |= {"outside_view": outside.mean(), "speed_mps": rollout.states[..., 3].mean()}
    steps = per_step.shape[2]
    discount = config.discount ** torch.arange(steps, device=per_step.device, dtype=per_step.dtype)
    total = (per_step * discount).mean()
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
    """Disagreement of the replicas along the recorded drivers' paths, to standardise it."""
    replicas = model.replicas(config.replicas, generator)
    prediction = replicas.predict(
        observation, config.steps, replicas.count, generator, ego=expert[:, None]
    )
    rollout = Rollout(
        expert[:, None], actions[:, None], actions[:, None, 0], observation.size_m, prediction,
        model.step_s,
    )  # fmt: skip
    vehicle_cost = DrivingCost(config.cost).evaluate(rollout).vehicle_cost
    return uncertainty.variances(rollout, vehicle_cost)[:, 0]
