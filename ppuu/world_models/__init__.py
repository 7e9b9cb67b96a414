"""World models: one family a file, one interface (``base.WorldModel``)."""

from .base import ModelConfig, ModelSpec, Predictor, WorldModel, posterior_noise
from .cortexnet import CortexNetConfig, CortexNetWorldModel
from .coupled import PAPER, CoupledConfig, CoupledWorldModel
from .decoupled import DecoupledConfig, DecoupledWorldModel
from .ensemble import Ensemble
from .jepa import JepaConfig, JepaWorldModel
from .latent import Latent
from .recurrent import RecurrentConfig, RecurrentWorldModel
from .references import (
    ConstantAcceleration,
    ConstantVelocity,
    CopyLast,
    IdmRollForward,
    Reference,
    tracks_spec,
)
from .replicas import DropoutReplicas, MemberReplicas, Replicas
from .tempered import Tempered
from .tokens import TokensConfig, TokensWorldModel

WorldModelConfig = (
    TokensConfig | DecoupledConfig | RecurrentConfig | CortexNetConfig | CoupledConfig | JepaConfig
)
"""What can be trained; each config builds its model."""

__all__ = [
    "PAPER",
    "ConstantAcceleration",
    "ConstantVelocity",
    "CopyLast",
    "CortexNetConfig",
    "CortexNetWorldModel",
    "CoupledConfig",
    "CoupledWorldModel",
    "DecoupledConfig",
    "DecoupledWorldModel",
    "DropoutReplicas",
    "Ensemble",
    "IdmRollForward",
    "JepaConfig",
    "JepaWorldModel",
    "Latent",
    "MemberReplicas",
    "ModelConfig",
    "ModelSpec",
    "Predictor",
    "RecurrentConfig",
    "RecurrentWorldModel",
    "Reference",
    "Replicas",
    "Tempered",
    "TokensConfig",
    "TokensWorldModel",
    "WorldModel",
    "WorldModelConfig",
    "posterior_noise",
    "tracks_spec",
]
