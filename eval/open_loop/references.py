"""Predictors without learning, which learned ones are compared with."""

from __future__ import annotations

from data.clips.clips import Clips
from ppuu.world_models import (
    ConstantAcceleration,
    ConstantVelocity,
    CopyLast,
    Extrapolation,
    IdmRollForward,
    Predictor,
    tracks_spec,
)

REFERENCES = {
    "copy-last": CopyLast,
    "constant-velocity": ConstantVelocity,
    "constant-acceleration": ConstantAcceleration,
    "idm": IdmRollForward,
}


def references(like: Predictor, clips: Clips) -> dict[str, Extrapolation]:
    """All of them, on the clips and steps of a model."""
    return {
        name: kind(tracks_spec(clips.config, like.frames_per_step, like.dt_s))
        for name, kind in REFERENCES.items()
    }
