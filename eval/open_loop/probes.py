"""Small readers of frozen embeddings: linear says what is accessible, an MLP what is present."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Reader = Callable[[Float[Tensor, "n features"]], Float[Tensor, "n targets"]]

_RIDGES = (1e-4, 1e-2, 1.0, 30.0)
_HELD_OUT = 0.2
_FEWEST = 3
"""Rows that a target must be known in to be read at all; its mean is answered else."""
_STILL = 1e-5
"""Deviation, in units of the root mean square, up to which a feature says nothing."""
_HIDDEN = 256
_BATCH = 512


def linear_probe(
    features: Float[Tensor, "n features"], targets: Float[Tensor, "n targets"]
) -> Reader:
    """Ridge regression of each target, centred, on the rows that know it.

    The mean is not shrunk: a reader of features that say nothing answers with it.

    How strong the ridge is, each target decides on the last fifth of the rows, which the final fit
    then uses, too.

    Args:
        features: embeddings.
        targets: NaN where unknown.
    """
    middle, spread = _units(features)
    inputs = _with_one((features - middle) / spread)
    known = targets.isfinite()
    mean, _ = _moments(targets, known)
    weights = torch.zeros(inputs.shape[1], targets.shape[1])
    # Targets that are known in the same rows share their normal equations.
    patterns, which = torch.unique(known.T, dim=0, return_inverse=True)
    for number, rows in enumerate(patterns):
        columns = (which == number).nonzero()[:, 0]
        if int(rows.sum()) < _FEWEST:
            continue
        weights[:, columns] = _ridge(inputs[rows], (targets - mean)[rows][:, columns])
    return lambda seen: _with_one((seen - middle) / spread) @ weights + mean


def _units(
    features: Float[Tensor, "n features"],
) -> tuple[Float[Tensor, " features"], Float[Tensor, " features"]]:
    """Mean and deviation; infinite of what only rounding moves, so that it reads as 0."""
    middle, spread = features.mean(0), features.std(0)
    still = spread <= _STILL * features.square().mean(0).sqrt()
    return middle, spread.masked_fill(still, torch.inf)


def _with_one(values: Float[Tensor, "n features"]) -> Float[Tensor, "n features1"]:
    return torch.cat([values, torch.ones_like(values[:, :1])], dim=1)


def _ridge(
    inputs: Float[Tensor, "n features"], targets: Float[Tensor, "n targets"]
) -> Float[Tensor, "features targets"]:
    cut = len(inputs) - max(1, int(_HELD_OUT * len(inputs)))
    products, answers = inputs[:cut].T @ inputs[:cut], inputs[:cut].T @ targets[:cut]
    tried = [_solved(products, answers, ridge * cut) for ridge in _RIDGES]
    errors = torch.stack([(inputs[cut:] @ w - targets[cut:]).square().mean(0) for w in tried])
    best = errors.argmin(0)
    products = products + inputs[cut:].T @ inputs[cut:]
    answers = answers + inputs[cut:].T @ targets[cut:]
    weights = torch.empty_like(answers)
    for number in best.unique():
        columns = best == number
        weights[:, columns] = _solved(
            products, answers[:, columns], _RIDGES[int(number)] * len(inputs)
        )
    return weights


def _solved(
    products: Float[Tensor, "features features"],
    answers: Float[Tensor, "features targets"],
    ridge: float,
) -> Float[Tensor, "features targets"]:
    """The ridge makes the products positive definite, unless single precision says otherwise."""
    matrix = products + ridge * torch.eye(len(products))
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.linalg.solve(matrix, answers)
    return torch.cholesky_solve(answers, factor)


def mlp_probe(
    features: Float[Tensor, "n features"],
    targets: Float[Tensor, "n targets"],
    seed: int,
    epochs: int = 10,
) -> Reader:
    """Two layers, 256 wide between; Adam at 1e-3 along a cosine, targets in their own units.

    Args:
        features: embeddings.
        targets: NaN where unknown.
        seed: of weights and order.
        epochs: through all rows.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    middle, spread = _units(features)
    inputs, known = (features - middle) / spread, targets.isfinite()
    mean, deviation = _moments(targets, known)
    wanted = torch.where(known, (targets - mean) / deviation, 0.0)
    net = nn.Sequential(
        nn.Linear(inputs.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, targets.shape[1])
    )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-5)
    updates = epochs * -(-len(inputs) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    with torch.enable_grad():
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs), generator=generator).split(_BATCH):
                error = (net(inputs[rows]) - wanted[rows]).square() * known[rows]
                optimizer.zero_grad()
                (error.sum() / known[rows].sum().clamp(min=1)).backward()
                optimizer.step()
                schedule.step()
    net.requires_grad_(False)
    return lambda seen: net((seen - middle) / spread) * deviation + mean


def _moments(
    targets: Float[Tensor, "n targets"], known: Bool[Tensor, "n targets"]
) -> tuple[Float[Tensor, " targets"], Float[Tensor, " targets"]]:
    count = known.sum(0).clamp(min=1)
    mean = torch.where(known, targets, 0.0).sum(0) / count
    square = torch.where(known, (targets - mean).square(), 0.0).sum(0) / count
    return mean, square.sqrt().clamp(min=1e-6)
