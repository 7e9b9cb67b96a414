"""Pure losses: each returns named terms and their weighted total."""

from .imitation import imitation_loss
from .policy_unroll import UnrollConfig, expert_replica_costs, policy_loss, replicas, unroll
from .starts import StartConfig, varied_starts
from .terms import Terms
from .world_model import WorldModelLossConfig, world_model_loss

__all__ = [
    "StartConfig",
    "Terms",
    "UnrollConfig",
    "WorldModelLossConfig",
    "expert_replica_costs",
    "imitation_loss",
    "policy_loss",
    "replicas",
    "unroll",
    "varied_starts",
    "world_model_loss",
]
