"""Linear probes: affine functions of frozen embeddings, fitted by ridge regression."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Probe = Callable[[Float[Tensor, "n features"]], Float[Tensor, "n targets"]]

_RIDGES = (1e-4, 1e-2, 1.0, 30.0)
_HELD_OUT = 0.2
_FEWEST = 3
"""Rows with a known target that a fit needs; with fewer its mean is the answer."""
_CONSTANT = 1e-5
"""Standard deviation, relative to the root mean square, up to which a feature is constant."""


def least_squares_probe(
    features: Float[Tensor, "n features"], targets: Float[Tensor, "n targets"]
) -> Probe:
    """Least squares with a constant, in double precision; a tiny ridge makes it unique.

    Args:
        features: embeddings.
        targets: known everywhere.
    """
    inputs = _with_constant(features.double())
    weights = _solve(inputs.mT @ inputs, inputs.mT @ targets.double(), 1e-6 * len(inputs))
    return lambda embeddings: _with_constant(embeddings.double()) @ weights


def linear_probe(
    features: Float[Tensor, "n features"], targets: Float[Tensor, "n targets"]
) -> Probe:
    """Ridge regression of each target, centred, on the rows where it is known.

    The mean is not shrunk: with uninformative features the answer is the mean.  Each target's
    ridge is the best of a few on the last fifth of the rows, which the final fit then uses, too.

    Args:
        features: embeddings.
        targets: NaN where unknown.
    """
    centre, scale = feature_moments(features)
    inputs = _with_constant((features - centre) / scale)
    known = targets.isfinite()
    mean, _ = target_moments(targets, known)
    weights = torch.zeros(inputs.shape[1], targets.shape[1])
    # Targets that are known in the same rows share their normal equations.
    patterns, pattern_of = torch.unique(known.T, dim=0, return_inverse=True)
    for number, rows in enumerate(patterns):
        columns = (pattern_of == number).nonzero()[:, 0]
        if int(rows.sum()) < _FEWEST:
            continue
        weights[:, columns] = _validated_ridge(inputs[rows], (targets - mean)[rows][:, columns])
    return lambda embeddings: _with_constant((embeddings - centre) / scale) @ weights + mean


def feature_moments(
    features: Float[Tensor, "n features"],
) -> tuple[Float[Tensor, " features"], Float[Tensor, " features"]]:
    """Mean and standard deviation; infinite for constant features, which so become 0."""
    mean, deviation = features.mean(0), features.std(0)
    constant = deviation <= _CONSTANT * features.square().mean(0).sqrt()
    return mean, deviation.masked_fill(constant, torch.inf)


def target_moments(
    targets: Float[Tensor, "n targets"], known: Bool[Tensor, "n targets"]
) -> tuple[Float[Tensor, " targets"], Float[Tensor, " targets"]]:
    """Mean and standard deviation of the known values."""
    count = known.sum(0).clamp(min=1)
    mean = torch.where(known, targets, 0.0).sum(0) / count
    square = torch.where(known, (targets - mean).square(), 0.0).sum(0) / count
    return mean, square.sqrt().clamp(min=1e-6)


def _with_constant(values: Float[Tensor, "n features"]) -> Float[Tensor, "n features1"]:
    return torch.cat([values, torch.ones_like(values[:, :1])], dim=1)


def _validated_ridge(
    inputs: Float[Tensor, "n features"], targets: Float[Tensor, "n targets"]
) -> Float[Tensor, "features targets"]:
    cut = len(inputs) - max(1, int(_HELD_OUT * len(inputs)))
    gram, moments = inputs[:cut].T @ inputs[:cut], inputs[:cut].T @ targets[:cut]
    candidates = [_solve(gram, moments, ridge * cut) for ridge in _RIDGES]
    errors = torch.stack([(inputs[cut:] @ w - targets[cut:]).square().mean(0) for w in candidates])
    best = errors.argmin(0)
    gram = gram + inputs[cut:].T @ inputs[cut:]
    moments = moments + inputs[cut:].T @ targets[cut:]
    weights = torch.empty_like(moments)
    for number in best.unique():
        columns = best == number
        weights[:, columns] = _solve(gram, moments[:, columns], _RIDGES[int(number)] * len(inputs))
    return weights


def _solve(
    gram: Float[Tensor, "features features"],
    moments: Float[Tensor, "features targets"],
    ridge: float,
) -> Float[Tensor, "features targets"]:
    """Weights of the normal equations; positive definite but for rounding in single precision."""
    matrix = gram + ridge * torch.eye(len(gram), dtype=gram.dtype)
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.linalg.solve(matrix, moments)
    return torch.cholesky_solve(moments, factor)
