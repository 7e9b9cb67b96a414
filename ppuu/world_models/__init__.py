"""World models: one family a file, one interface (``base.WorldModel``)."""

from .base import Latent, WorldModel
from .decoupled import DecoupledConfig, DecoupledWorldModel

__all__ = ["DecoupledConfig", "DecoupledWorldModel", "Latent", "WorldModel"]
