"""What a model does not know, apart from what nobody can know: the disagreement of replicas."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..observation import Observation
from ..rollout import Futures
from ..track_futures import TrackFutures
from .base import WorldModel
from .ensemble import Ensemble


def replicas(
    model: WorldModel,
    observation: Observation,
    steps: int,
    count: int,
    ego: Float[Tensor, "batch time 4"] | None = None,
) -> Futures | TrackFutures:
    """One sampled future for each history, as several replicas of a model foresee it.

    They share the latents, so they differ only in what they have learned.  A single model is run
    with dropout (Gal and Ghahramani, 2016), with another mask for each replica, and a sample of
    the prior.  To an ensemble's members, who each learned a code of their own, the same latent
    means different things; only its mean, 0, is no message.  So they foresee without any.

    Args:
        model: an ensemble or a single model; its mode is left as it was.
        observation: the history.
        steps: how far, in steps of the model.
        count: replicas; an ensemble has no more different ones than members.
        ego: the ego's path at the steps; only coupled models need it.
    """
    latents = observation.ego.new_empty(len(observation.ego), 1, steps, model.latent_size)
    together = isinstance(model, Ensemble)
    latents = (latents.zero_() if together else latents.normal_()).expand(-1, count, -1, -1)
    mode = model.training
    model.train(not together)
    try:
        return model.imagine(observation, steps, count, ego=ego, latents=latents)
    finally:
        model.train(mode)
