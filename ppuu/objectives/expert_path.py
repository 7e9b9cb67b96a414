"""Expert regularisation: an unrolled policy is compared with the expert's path.

MPER (Henaff et al., 2019, section 4.1) unrolls the policy in the world model and compares predicted
images and states with those of the expert.  If predicted images do not depend on the actions, only
the ego's path is compared.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..geometry import to_local
from ..predictions import Rollout, Target
from ..runtime.loss_terms import Terms
from .world_model import reconstruction_losses

_ALONG_M, _ACROSS_M, _SPEED_MPS = 2.0, 0.5, 1.0
"""Scales of the errors."""


def expert_path_loss(
    rollout: Rollout, expert: Float[Tensor, "batch time 4"], images: Target | None = None
) -> Terms:
    """Huber errors along and across the expert's path and of the speed, averaged over time.

    With ``images``, the errors of the prediction's first sample are added.
    """
    expert = expert[:, None]
    error = to_local(rollout.states, expert)
    named = {
        "along": _huber(error[..., 0] / _ALONG_M),
        "across": _huber(error[..., 1] / _ACROSS_M),
        "speed": _huber((rollout.states[..., 3] - expert[..., 3]) / _SPEED_MPS),
    }
    if images is not None:
        named |= reconstruction_losses(rollout.prediction, images)
    return Terms(torch.stack(list(named.values())).sum(), named)


def _huber(error: Tensor) -> Float[Tensor, ""]:
    return functional.smooth_l1_loss(error, torch.zeros_like(error))
