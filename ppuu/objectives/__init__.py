"""Pure losses: each returns named terms and their weighted total."""

from ..terms import Terms
from .dreaming import DreamConfig, dreamt
from .expert_path import expert_path_loss
from .imitation import imitation_loss
from .jepa import JepaLossConfig, jepa_loss, jepa_telemetry
from .learned_costs import cost_model_loss, present, recorded_rollout, value_loss
from .policy_unroll import (
    UnrollConfig,
    expert_variances,
    from_prior,
    policy_loss,
    replicas,
    unroll,
)
from .replayed import as_recorded
from .starts import StartConfig, varied_starts
from .world_model import WorldModelLossConfig, world_model_loss

__all__ = [
    "DreamConfig",
    "JepaLossConfig",
    "StartConfig",
    "Terms",
    "UnrollConfig",
    "WorldModelLossConfig",
    "as_recorded",
    "cost_model_loss",
    "dreamt",
    "expert_path_loss",
    "expert_variances",
    "from_prior",
    "imitation_loss",
    "jepa_loss",
    "jepa_telemetry",
    "policy_loss",
    "present",
    "recorded_rollout",
    "replicas",
    "unroll",
    "value_loss",
    "varied_starts",
    "world_model_loss",
]
