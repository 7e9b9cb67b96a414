"""Training losses: pure functions that return named terms and their weighted total."""

from ..runtime.loss_terms import Terms
from .adversarial import AdversarialConfig, adversarial_latents
from .expert_path import expert_path_loss
from .expert_scale import fit_expert_scale
from .imitation import imitation_loss
from .jepa_loss import JepaLossConfig, jepa_diagnostics, jepa_loss
from .learned_cost_losses import cost_model_loss, current_rollout, recorded_rollout, value_loss
from .policy_unroll import (
    UnrollConfig,
    policy_loss,
    predicted_traffic,
    rollout_noise,
)
from .recorded_traffic import recorded_traffic
from .starts import StartConfig, perturbed_starts
from .world_model import WorldModelLossConfig, world_model_loss

__all__ = [
    "AdversarialConfig",
    "JepaLossConfig",
    "StartConfig",
    "Terms",
    "UnrollConfig",
    "WorldModelLossConfig",
    "adversarial_latents",
    "cost_model_loss",
    "current_rollout",
    "expert_path_loss",
    "fit_expert_scale",
    "imitation_loss",
    "jepa_diagnostics",
    "jepa_loss",
    "perturbed_starts",
    "policy_loss",
    "predicted_traffic",
    "recorded_rollout",
    "recorded_traffic",
    "rollout_noise",
    "value_loss",
    "world_model_loss",
]
