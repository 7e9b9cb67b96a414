"""World models: one family per file, one interface (``base.WorldModel``)."""

from .base import ModelConfig, Predictor, WorldModel, posterior_noise
from .cortexnet import CortexNetConfig, CortexNetWorldModel
from .coupled import PAPER, CoupledConfig, CoupledWorldModel
from .decoupled import DecoupledConfig, DecoupledWorldModel
from .ensemble import Ensemble
from .extrapolations import (
    ConstantAcceleration,
    ConstantVelocity,
    CopyLast,
    Extrapolation,
    IdmRollForward,
)
from .jepa_world_model import JepaConfig, JepaWorldModel
from .latent import Latent
from .latent_temperature import LatentTemperature
from .recurrent import RecurrentConfig, RecurrentWorldModel
from .replicas import DropoutReplicas, MemberReplicas, Replicas
from .spec import ModelSpec, tracks_spec
from .tokens import TokensConfig, TokensWorldModel

WorldModelConfig = (
    TokensConfig | DecoupledConfig | RecurrentConfig | CortexNetConfig | CoupledConfig | JepaConfig
)
"""Configurations of the trainable models; each builds its model."""

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
    "Extrapolation",
    "IdmRollForward",
    "JepaConfig",
    "JepaWorldModel",
    "Latent",
    "LatentTemperature",
    "MemberReplicas",
    "ModelConfig",
    "ModelSpec",
    "Predictor",
    "RecurrentConfig",
    "RecurrentWorldModel",
    "Replicas",
    "TokensConfig",
    "TokensWorldModel",
    "WorldModel",
    "WorldModelConfig",
    "posterior_noise",
    "tracks_spec",
]
