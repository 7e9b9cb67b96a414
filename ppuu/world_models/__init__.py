"""World models: one family a file, one interface (``base.WorldModel``)."""

from .base import Latent, Predictor, TrueImages, Truth, WorldModel, explained
from .cortexnet import CortexNetConfig, CortexNetWorldModel
from .coupled import PAPER, CoupledConfig, CoupledWorldModel
from .decoupled import DecoupledConfig, DecoupledWorldModel
from .ensemble import Ensemble
from .jepa import JepaConfig, JepaWorldModel
from .recurrent import RecurrentConfig, RecurrentWorldModel
from .references import (
    ConstantAcceleration,
    ConstantVelocity,
    CopyLast,
    IdmRollForward,
    Reference,
)
from .replicas import replicas
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
    "Ensemble",
    "IdmRollForward",
    "JepaConfig",
    "JepaWorldModel",
    "Latent",
    "Predictor",
    "RecurrentConfig",
    "RecurrentWorldModel",
    "Reference",
    "Tempered",
    "TokensConfig",
    "TokensWorldModel",
    "TrueImages",
    "Truth",
    "WorldModel",
    "WorldModelConfig",
    "explained",
    "replicas",
]
