"""Is the embedding about to die, and of what?  Numbers that are always logged, and named warnings.

The names are those of known failures of joint-embedding prediction; thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .jepa import Assembly
from .unrolled import Unrolled, as_places

_TINY = 1e-12


@dataclass(frozen=True)
class Failure:
    """A named failure.

    Attributes:
        name: short.
        value: which number shows it.
        below, above: it is raised beyond either.
        meaning: in words.
    """

    name: str
    value: str
    meaning: str
    below: float = -float("inf")
    above: float = float("inf")


FAILURES = (
    Failure("slow-features", "temporal_ratio", "sequences are told apart, times are not", 0.05),
    Failure("tunnel-vision", "least_channel", "a channel of the image leaves no trace", 0.02),
    Failure("collapse", "relative_deviation", "all images have one embedding", 0.1),
    Failure("dimensional-collapse", "rank_share", "few directions carry everything", 0.1),
    Failure("unpredictive", "unexplained", "the mean would predict nearly as well", above=0.8),
    Failure("averaging", "predicted_spread", "what is uncertain is averaged away", 0.6),
    Failure("saturated-distance", "saturation", "near or far in time, equally apart", above=0.9),
    Failure("batch-leak", "batch_leak", "an embedding depends on the others of a batch",
             above=1e-3),
    Failure("input-ignored", "input_share", "action or latent changes no prediction", 0.01),
    Failure("copying", "copy_ratio", "predictions are no better than the last embedding",
             above=0.95),
)  # fmt: skip
"""All failures that are looked for."""


def raised(values: Mapping[str, float]) -> list[str]:
    """Names of the warnings that some numbers call for; numbers that are missing call for none."""
    return [
        failure.name
        for failure in FAILURES
        if failure.value in values and not failure.below <= values[failure.value] <= failure.above
    ]


@torch.no_grad()
def telemetry(unrolled: Unrolled) -> dict[str, Float[Tensor, ""]]:
    """What embeddings and predictions tell of themselves.

    Returns:
        ``deviation_min/mean/max``: over the batch, of features at each time and place.
        ``relative_deviation``: of the root mean square.
        ``off_diagonal``: share of squared covariances' sum that different features have.
        ``rank``, ``rank_share``: exp of the entropy of the covariance's spectrum; of as many
            directions as there can be: features, or sequences less one.
        ``condition``: largest eigenvalue in units of the smallest.
        ``agreement``: mean cosine of prediction and target.
        ``temporal_ratio``: variance within sequences, as a share of all.
        ``copy_ratio``: what the first prediction leaves unexplained, in units of what the first
            embedding does.
        ``unexplained``: squared error of predictions, as a share of the variance.
        ``predicted_spread``: how much of the last targets' deviation the last predictions carry,
            which is their correlation: they are told what happened (latents of the posterior), so
            whatever is missing has been averaged away.
            In these three, embeddings are centred over the batch at each time and place, and
            scaled by one number as suits best: objectives of directions leave both open, and what
            minimises a squared error is scaled so already.
        ``saturation``: distance of neighbouring times, in units of the ends'.
    """
    target, predicted = unrolled.target.double(), unrolled.predicted.double()
    centred = target - target.mean(0)
    variance = centred.square().mean(0)
    deviation = variance.sqrt()
    flat = centred.flatten(0, 2)
    covariance = flat.mT @ flat / len(flat)
    aimed = predicted - predicted.mean(0)
    end = _best_scale(aimed[:, -1], centred[:, -1]) * aimed[:, -1].square().mean().sqrt()
    total = target.var((0, 1), unbiased=False).mean()
    values = {
        "deviation_min": deviation.min(),
        "deviation_mean": deviation.mean(),
        "deviation_max": deviation.max(),
        "relative_deviation": (variance.mean() / (target.square().mean() + _TINY)).sqrt(),
        "agreement": functional.cosine_similarity(predicted[:, 1:], target[:, 1:], dim=-1).mean(),
        "temporal_ratio": target.var(1, unbiased=False).mean() / (total + _TINY),
        "copy_ratio": _unexplained(aimed[:, 1], centred[:, 1])
        / (_unexplained(centred[:, 0], centred[:, 1]) + _TINY),
        "unexplained": _unexplained(aimed[:, 1:], centred[:, 1:]),
        "predicted_spread": end / (variance[-1].mean().sqrt() + _TINY),
        "saturation": _distance(target[:, :-1], target[:, 1:])
        / (_distance(target[:, 0], target[:, -1]) + _TINY),
    }
    values |= spectrum(covariance, len(target) - 1)
    return {name: value.float() for name, value in values.items()}


def _best_scale(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    """What ``a`` is to be multiplied by to be nearest to ``b``; nobody is turned round."""
    return ((a * b).mean() / (a.square().mean() + _TINY)).clamp(min=0.0)


def _unexplained(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    """Squared error of the scaled ``a``, as a share of the square of ``b``."""
    return (_best_scale(a, b) * a - b).square().mean() / (b.square().mean() + _TINY)


def spectrum(
    covariance: Float[Tensor, "features features"], directions: int
) -> dict[str, Float[Tensor, ""]]:
    """Effective rank, condition, and what lies off the diagonal.

    Args:
        covariance: of features.
        directions: that it can have, if fewer than features.
    """
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0.0)
    share = eigenvalues / (eigenvalues.sum() + _TINY)
    rank = torch.exp(-(share * (share + _TINY).log()).sum())
    squares, diagonal = covariance.square().sum(), torch.diagonal(covariance).square().sum()
    return {
        "rank": rank,
        "rank_share": rank / max(1, min(len(covariance), directions)),
        "condition": eigenvalues[-1] / (eigenvalues[0] + _TINY),
        "off_diagonal": 1.0 - diagonal / (squares + _TINY),
    }


def _distance(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    return (a - b).flatten(-2).norm(dim=-1).mean()


@torch.no_grad()
def input_telemetry(
    assembly: Assembly,
    states: Float[Tensor, "batch time features rows columns"],
    inputs: Float[Tensor, "batch steps inputs"],
    others: Float[Tensor, "batch steps inputs"],
) -> dict[str, Float[Tensor, ""]]:
    """Whether predictions listen to their input.

    Args:
        assembly: the predictor.
        states: embeddings; those before each input are used.
        inputs: true ones.
        others: the same with what is asked about taken from other sequences.

    Returns:
        ``input_sensitivity``: distance of predictions in units of the inputs'.
        ``input_share``: squared, in units of what embeddings change in a step.
    """
    before, told = states[:, :-1].flatten(0, 1), inputs.flatten(0, 1)
    other = others.flatten(0, 1)
    apart = assembly.predict(before, told) - assembly.predict(before, other)
    change = (states[:, 1:] - states[:, :-1]).square().mean()
    distance = (told - other).norm(dim=-1).mean()
    return {
        "input_sensitivity": apart.flatten(1).norm(dim=-1).mean() / (distance + _TINY),
        "input_share": apart.square().mean() / (change + _TINY),
    }


@torch.no_grad()
def image_telemetry(
    assembly: Assembly, images: Float[Tensor, "batch channels rows columns"]
) -> dict[str, Float[Tensor, ""]]:
    """Whether every channel leaves a trace, and whether images are encoded independently.

    Returns:
        ``least_channel``: squared change of embeddings when a channel is taken from another image,
            per squared change of the channel; of the channel with the least, as a share of the
            mean.  Channels that are alike in all images do not count.
        ``batch_leak``: relative change of embeddings when half of the batch is absent.
    """
    encoded = as_places(assembly.encode(images))
    gains = []
    for channel in range(images.shape[1]):
        other = images[:, channel].roll(1, 0)
        differs = (images[:, channel] - other).square().mean()
        if differs > _TINY:
            mixed = images.clone()
            mixed[:, channel] = other
            changed = (as_places(assembly.encode(mixed)) - encoded).square().mean()
            gains.append(changed / differs)
    gain = torch.stack(gains) if gains else images.new_ones(1)
    half = images[: max(1, len(images) // 2)]
    leak = (as_places(assembly.encode(half)) - encoded[: len(half)]).square().mean()
    return {
        "least_channel": gain.min() / (gain.mean() + _TINY),
        "batch_leak": (leak / (encoded.square().mean() + _TINY)).sqrt(),
    }


@torch.no_grad()
def assembly_telemetry(
    assembly: Assembly,
    images: Float[Tensor, "batch time channels rows columns"],
    inputs: Float[Tensor, "batch steps inputs"],
) -> dict[str, float]:
    """All of it, of sequences whose inputs are told.

    Args:
        assembly: as it is evaluated.
        images: at all times.
        inputs: of every step between them.
    """
    targets = assembly.targets(images)
    online = assembly.online(images, targets)
    states = assembly.unroll(online[:, 0], inputs)
    values = telemetry(assembly.through_projector(states, targets, online))
    values |= input_telemetry(assembly, online, inputs, inputs.roll(1, 0))
    values |= image_telemetry(assembly, images[:, 0])
    return {name: value.item() for name, value in values.items()}
