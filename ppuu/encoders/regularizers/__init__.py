"""What keeps embeddings from collapsing: one objective a file, built from its formula."""

from .barlow_twins import BarlowTwinsConfig
from .base import Regularizer, prediction_error
from .dcl import DclConfig
from .direct_clr import DirectClrConfig
from .info_nce import InfoNceConfig
from .inverse_dynamics import InverseDynamics
from .mcr2 import Mcr2Config
from .reconstruction import Painter
from .sigreg import SigRegConfig
from .tico import TiCoConfig
from .time_similarity import time_similarity
from .vicreg import VicRegConfig

RegularizerConfig = (
    VicRegConfig | InfoNceConfig | DclConfig | BarlowTwinsConfig | TiCoConfig | DirectClrConfig
    | SigRegConfig | Mcr2Config
)  # fmt: skip
"""What can be chosen; each config builds its loss."""

__all__ = [
    "BarlowTwinsConfig",
    "DclConfig",
    "DirectClrConfig",
    "InfoNceConfig",
    "InverseDynamics",
    "Mcr2Config",
    "Painter",
    "Regularizer",
    "RegularizerConfig",
    "SigRegConfig",
    "TiCoConfig",
    "VicRegConfig",
    "prediction_error",
    "time_similarity",
]
