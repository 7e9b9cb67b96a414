"""Pure losses: each returns named terms and their weighted total."""

from .terms import Terms
from .world_model import world_model_loss

__all__ = ["Terms", "world_model_loss"]
