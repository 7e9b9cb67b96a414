"""Diagnostics of representation collapse: metrics that are always logged, and named warnings.

The warnings are named after known failures of joint-embedding prediction; thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .embedding_rollout import EmbeddingRollout, as_locations
from .jepa_network import JepaNetwork

_TINY = 1e-12


@dataclass(frozen=True)
class Failure:
    """A known failure of representation learning.

    Attributes:
        name: of the warning.
        value: name of the metric.
        meaning: description.
        below, above: the warning is triggered outside this interval.
    """

    name: str
    value: str
    meaning: str
    below: float = -float("inf")
    above: float = float("inf")


FAILURES = (
    Failure("slow-features", "temporal_ratio", "sequences differ, time steps do not", 0.05),
    Failure("tunnel-vision", "weakest_channel", "a channel does not affect the embedding", 0.02),
    Failure("collapse", "relative_std", "all images have the same embedding", 0.1),
    Failure("dimensional-collapse", "rank_fraction", "few directions carry the variance", 0.1),
    Failure("unpredictive", "unexplained", "predicting the mean is nearly as good", above=0.8),
    Failure("averaging", "predicted_std", "predictions average over uncertain outcomes", 0.6),
    Failure("saturated-distance", "saturation", "distances do not grow with time", above=0.9),
    Failure("batch-leak", "batch_leak", "embeddings depend on the rest of the batch",
             above=1e-3),
    Failure("input-ignored", "input_effect", "actions or latents do not affect predictions", 0.01),
    Failure("copying", "copy_ratio", "predictions are no better than repeating the last embedding",
             above=0.95),
)  # fmt: skip
"""All failures that are monitored."""


def triggered_warnings(values: Mapping[str, float]) -> list[str]:
    """Names of the warnings triggered by some metrics; missing metrics trigger none."""
    return [
        failure.name
        for failure in FAILURES
        if failure.value in values and not failure.below <= values[failure.value] <= failure.above
    ]


@torch.no_grad()
def embedding_diagnostics(rollout: EmbeddingRollout) -> dict[str, Float[Tensor, ""]]:
    """Statistics of embeddings and predictions.

    Returns:
        ``std_min/mean/max``: standard deviation over the batch, of features at each time and
            location.
        ``relative_std``: standard deviation divided by the root mean square.
        ``off_diagonal``: fraction of the squared covariances that lies off the diagonal.
        ``rank``, ``rank_fraction``: effective rank, exp of the entropy of the covariance's
            spectrum; divided by the largest possible rank (features, or sequences less one).
        ``condition``: condition number of the covariance.
        ``cosine_similarity``: mean over predictions and targets.
        ``temporal_ratio``: variance within sequences, divided by the total variance.
        ``copy_ratio``: unexplained variance of the first prediction, divided by that of the first
            embedding.
        ``unexplained``: fraction of unexplained variance of the predictions.
        ``predicted_std``: standard deviation of the last predictions, divided by that of
            the targets; equals their correlation.  Predictions use latents of the posterior, so a
            loss of variance means averaging over outcomes.
            For these three, embeddings are centred over the batch at each time and location, and
            scaled by the best single factor: contrastive objectives determine neither, and
            minimisers of a squared error are scaled already.
        ``saturation``: distance of neighbouring times, divided by that of first and last.
    """
    target, predicted = rollout.target.double(), rollout.predicted.double()
    centred = target - target.mean(0)
    variance = centred.square().mean(0)
    std = variance.sqrt()
    flat = centred.flatten(0, 2)
    covariance = flat.mT @ flat / len(flat)
    residual = predicted - predicted.mean(0)
    end = _best_scale(residual[:, -1], centred[:, -1]) * residual[:, -1].square().mean().sqrt()
    total = target.var((0, 1), unbiased=False).mean()
    values = {
        "std_min": std.min(),
        "std_mean": std.mean(),
        "std_max": std.max(),
        "relative_std": (variance.mean() / (target.square().mean() + _TINY)).sqrt(),
        "cosine_similarity": functional.cosine_similarity(
            predicted[:, 1:], target[:, 1:], dim=-1
        ).mean(),
        "temporal_ratio": target.var(1, unbiased=False).mean() / (total + _TINY),
        "copy_ratio": _unexplained(residual[:, 1], centred[:, 1])
        / (_unexplained(centred[:, 0], centred[:, 1]) + _TINY),
        "unexplained": _unexplained(residual[:, 1:], centred[:, 1:]),
        "predicted_std": end / (variance[-1].mean().sqrt() + _TINY),
        "saturation": _distance(target[:, :-1], target[:, 1:])
        / (_distance(target[:, 0], target[:, -1]) + _TINY),
    }
    values |= spectrum(covariance, len(target) - 1)
    return {name: value.float() for name, value in values.items()}


def _best_scale(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    """Non-negative factor of ``a`` that minimises the squared distance to ``b``."""
    return ((a * b).mean() / (a.square().mean() + _TINY)).clamp(min=0.0)


def _unexplained(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    """Squared error of the scaled ``a``, as a fraction of the square of ``b``."""
    return (_best_scale(a, b) * a - b).square().mean() / (b.square().mean() + _TINY)


def spectrum(
    covariance: Float[Tensor, "features features"], directions: int
) -> dict[str, Float[Tensor, ""]]:
    """Effective rank, condition number and off-diagonal fraction.

    Args:
        covariance: of features.
        directions: largest possible rank, if less than the number of features.
    """
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0.0)
    fraction = eigenvalues / (eigenvalues.sum() + _TINY)
    rank = torch.exp(-(fraction * (fraction + _TINY).log()).sum())
    squares, diagonal = covariance.square().sum(), torch.diagonal(covariance).square().sum()
    return {
        "rank": rank,
        "rank_fraction": rank / max(1, min(len(covariance), directions)),
        "condition": eigenvalues[-1] / (eigenvalues[0] + _TINY),
        "off_diagonal": 1.0 - diagonal / (squares + _TINY),
    }


def _distance(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    return (a - b).flatten(-2).norm(dim=-1).mean()


@torch.no_grad()
def input_diagnostics(
    jepa: JepaNetwork,
    states: Float[Tensor, "batch time features rows columns"],
    inputs: Float[Tensor, "batch steps inputs"],
    others: Float[Tensor, "batch steps inputs"],
) -> dict[str, Float[Tensor, ""]]:
    """Sensitivity of predictions to their input.

    Args:
        jepa: the network.
        states: embeddings; those before each input are used.
        inputs: true inputs.
        others: inputs in which the tested part comes from other sequences.

    Returns:
        ``input_sensitivity``: distance of predictions divided by that of inputs.
        ``input_effect``: squared distance of predictions divided by the squared change of
            embeddings in a step.
    """
    before, true = states[:, :-1].flatten(0, 1), inputs.flatten(0, 1)
    other = others.flatten(0, 1)
    effect = jepa.predict(before, true) - jepa.predict(before, other)
    change = (states[:, 1:] - states[:, :-1]).square().mean()
    distance = (true - other).norm(dim=-1).mean()
    return {
        "input_sensitivity": effect.flatten(1).norm(dim=-1).mean() / (distance + _TINY),
        "input_effect": effect.square().mean() / (change + _TINY),
    }


@torch.no_grad()
def image_diagnostics(
    jepa: JepaNetwork, images: Float[Tensor, "batch channels rows columns"]
) -> dict[str, Float[Tensor, ""]]:
    """Sensitivity to each channel, and independence of images in a batch.

    Returns:
        ``weakest_channel``: squared change of embeddings when a channel comes from another image,
            per squared change of the channel; the smallest, divided by the mean over channels.
            Channels that are equal in all images do not count.
        ``batch_leak``: relative change of embeddings when half of the batch is removed.
    """
    encoded = as_locations(jepa.encode(images))
    gains = []
    for channel in range(images.shape[1]):
        other = images[:, channel].roll(1, 0)
        difference = (images[:, channel] - other).square().mean()
        if difference > _TINY:
            mixed = images.clone()
            mixed[:, channel] = other
            change = (as_locations(jepa.encode(mixed)) - encoded).square().mean()
            gains.append(change / difference)
    gain = torch.stack(gains) if gains else images.new_ones(1)
    half = images[: max(1, len(images) // 2)]
    leak = (as_locations(jepa.encode(half)) - encoded[: len(half)]).square().mean()
    return {
        "weakest_channel": gain.min() / (gain.mean() + _TINY),
        "batch_leak": (leak / (encoded.square().mean() + _TINY)).sqrt(),
    }


@torch.no_grad()
def network_diagnostics(
    jepa: JepaNetwork,
    images: Float[Tensor, "batch time channels rows columns"],
    inputs: Float[Tensor, "batch steps inputs"],
) -> dict[str, float]:
    """All diagnostics, of sequences with known inputs.

    Args:
        jepa: the network, in evaluation mode.
        images: of all time steps.
        inputs: of every step between them.
    """
    targets = jepa.targets(images)
    online = jepa.online(images, targets)
    states = jepa.unroll(online[:, 0], inputs)
    values = embedding_diagnostics(jepa.project(states, targets, online))
    values |= input_diagnostics(jepa, online, inputs, inputs.roll(1, 0))
    values |= image_diagnostics(jepa, images[:, 0])
    return {name: value.item() for name, value in values.items()}
