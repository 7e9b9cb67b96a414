"""Expert regularisation: a policy unrolled through surroundings must drive the expert's path.

MPER of Henaff et al. (2019, section 4.1) rolls the policy out in the world model and compares
predicted images and states with what the expert met.  Where images do not answer to the actions,
the ego's path is all that can differ.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..geometry import to_local
from ..predictions import Rollout, Target
from ..runtime.loss_terms import Terms
from .world_model import reconstruction

_ALONG_M, _ACROSS_M, _SPEED_MPS = 2.0, 0.5, 1.0
"""Differences that count alike."""


def expert_path_loss(
    rollout: Rollout, expert: Float[Tensor, "batch time 4"], images: Target | None = None
) -> Terms:
    """Huber errors along and across the expert's path and of the speed, mean over time.

    With what the expert saw, the prediction's errors count, too, in the first sample.
    """
    expert = expert[:, None]
    off = to_local(rollout.states, expert)
    named = {
        "along": _huber(off[..., 0] / _ALONG_M),
        "across": _huber(off[..., 1] / _ACROSS_M),
        "speed": _huber((rollout.states[..., 3] - expert[..., 3]) / _SPEED_MPS),
    }
    if images is not None:
        named |= reconstruction(rollout.prediction, images)
    return Terms(torch.stack(list(named.values())).sum(), named)


def _huber(error: Tensor) -> Float[Tensor, ""]:
    return functional.smooth_l1_loss(error, torch.zeros_like(error))
