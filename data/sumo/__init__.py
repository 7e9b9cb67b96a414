"""Traffic from SUMO (extra ``sumo``): a second source that shares no driver model with ours."""

from .simulate import generate

__all__ = ["generate"]
