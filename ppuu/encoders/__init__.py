"""Encoders of images and the joint-embedding predictive assembly."""

from .conv import ConvConfig
from .gather import gather
from .heads import LinearProduct, MapHead, VectorHead
from .impala import ImpalaConfig
from .jepa import Assembly, AssemblyConfig
from .predictors import GruConfig, ResidualConfig
from .unrolled import Unrolled, as_places
from .vit import VitConfig

__all__ = [
    "Assembly",
    "AssemblyConfig",
    "ConvConfig",
    "GruConfig",
    "ImpalaConfig",
    "LinearProduct",
    "MapHead",
    "ResidualConfig",
    "Unrolled",
    "VectorHead",
    "VitConfig",
    "as_places",
    "gather",
]
