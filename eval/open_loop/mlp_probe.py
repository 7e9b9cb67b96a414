"""A nonlinear probe of frozen embeddings: what they contain, linearly readable or not."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ppuu.encoders.linear_probe import Probe, feature_moments, target_moments

_HIDDEN = 256
_BATCH = 512


def mlp_probe(
    features: Float[Tensor, "n features"],
    targets: Float[Tensor, "n targets"],
    seed: int,
    epochs: int = 10,
) -> Probe:
    """One hidden layer of 256; Adam with a cosine schedule from 1e-3, targets standardised.

    Args:
        features: embeddings.
        targets: NaN where unknown.
        seed: of weights and order.
        epochs: through all rows.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    centre, scale = feature_moments(features)
    inputs, known = (features - centre) / scale, targets.isfinite()
    mean, deviation = target_moments(targets, known)
    standardised = torch.where(known, (targets - mean) / deviation, 0.0)
    net = nn.Sequential(
        nn.Linear(inputs.shape[1], _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, targets.shape[1])
    )
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-5)
    updates = epochs * -(-len(inputs) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    with torch.enable_grad():
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs), generator=generator).split(_BATCH):
                error = (net(inputs[rows]) - standardised[rows]).square() * known[rows]
                optimizer.zero_grad()
                (error.sum() / known[rows].sum().clamp(min=1)).backward()
                optimizer.step()
                schedule.step()
    net.requires_grad_(False)
    return lambda embeddings: net((embeddings - centre) / scale) * deviation + mean
