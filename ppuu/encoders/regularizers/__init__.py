"""Regularisers against representation collapse, one objective a file."""

from .barlow_twins import BarlowTwinsConfig
from .base import Regularizer, prediction_error
from .dcl import DclConfig
from .direct_clr import DirectClrConfig
from .info_nce import InfoNceConfig
from .inverse_dynamics import InverseDynamics, InverseMotion
from .mcr2 import Mcr2Config
from .reconstruction import PixelDecoder, ReconstructionConfig
from .sigreg import SigRegConfig
from .tico import TiCoConfig
from .time_similarity import time_similarity
from .untrained import UntrainedConfig
from .vicreg import VicRegConfig

RegularizerConfig = (
    VicRegConfig | InfoNceConfig | DclConfig | BarlowTwinsConfig | TiCoConfig | DirectClrConfig
    | SigRegConfig | Mcr2Config | ReconstructionConfig | UntrainedConfig
)  # fmt: skip
"""All regularisers; each config builds its loss."""

__all__ = [
    "BarlowTwinsConfig",
    "DclConfig",
    "DirectClrConfig",
    "InfoNceConfig",
    "InverseDynamics",
    "InverseMotion",
    "Mcr2Config",
    "PixelDecoder",
    "ReconstructionConfig",
    "Regularizer",
    "RegularizerConfig",
    "SigRegConfig",
    "TiCoConfig",
    "UntrainedConfig",
    "VicRegConfig",
    "prediction_error",
    "time_similarity",
]
