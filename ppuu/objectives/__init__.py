"""Pure losses: each returns named terms and their weighted total."""

from ..runtime.loss_terms import Terms
from .adversarial import AdversarialConfig, adversarial_latents
from .expert_path import expert_path_loss
from .imitation import imitation_loss
from .jepa import JepaLossConfig, jepa_diagnostics, jepa_loss
from .learned_costs import cost_model_loss, present, recorded_rollout, value_loss
from .policy_unroll import (
    UnrollConfig,
    expert_variances,
    policy_loss,
    predicted_traffic,
    unroll_noise,
)
from .replayed import as_recorded
from .starts import StartConfig, varied_starts
from .world_model import WorldModelLossConfig, world_model_loss

__all__ = [
    "AdversarialConfig",
    "JepaLossConfig",
    "StartConfig",
    "Terms",
    "UnrollConfig",
    "WorldModelLossConfig",
    "adversarial_latents",
    "as_recorded",
    "cost_model_loss",
    "expert_path_loss",
    "expert_variances",
    "imitation_loss",
    "jepa_diagnostics",
    "jepa_loss",
    "policy_loss",
    "predicted_traffic",
    "present",
    "recorded_rollout",
    "unroll_noise",
    "value_loss",
    "varied_starts",
    "world_model_loss",
]
