"""Image encoders and joint-embedding predictive architectures (JEPA)."""

from .conv import ConvConfig
from .embedding_rollout import EmbeddingRollout, as_locations
from .gather import gather
from .heads import LinearProduct, MapHead, VectorHead
from .impala import ImpalaConfig
from .jepa_network import JepaNetwork, JepaNetworkConfig
from .predictors import GruConfig, ResidualConfig
from .vit import VitConfig

__all__ = [
    "ConvConfig",
    "EmbeddingRollout",
    "GruConfig",
    "ImpalaConfig",
    "JepaNetwork",
    "JepaNetworkConfig",
    "LinearProduct",
    "MapHead",
    "ResidualConfig",
    "VectorHead",
    "VitConfig",
    "as_locations",
    "gather",
]
