"""Linear probes."""

import math

import numpy as np
import torch

from ppuu.encoders.linear_probe import least_squares_probe, linear_probe


def test_a_linear_probe_finds_linear_targets_even_where_some_are_unknown():
    torch.manual_seed(0)
    features, weights = torch.randn(400, 6), torch.randn(6, 3)
    targets = features @ weights + 5.0
    targets[::3, 1] = torch.nan
    targets[1::2, 2] = torch.nan
    fresh = torch.randn(50, 6)
    read = linear_probe(features, targets)(fresh)
    torch.testing.assert_close(read, fresh @ weights + 5.0, atol=0.01, rtol=0.01)


def test_a_linear_probe_is_not_fooled_by_more_features_than_rows():
    torch.manual_seed(0)
    read = linear_probe(torch.randn(60, 200), torch.randn(60, 1))(torch.randn(500, 200))
    assert read.std() < 1.0


def test_with_uninformative_features_the_answer_is_the_mean():
    torch.manual_seed(0)
    targets = 20.0 + torch.randn(60, 1)
    read = linear_probe(torch.randn(60, 200), targets)(torch.randn(500, 200))
    assert (read - 20.0).square().mean() < 1.3


def test_targets_that_are_hardly_ever_known_are_answered_with_their_mean():
    """In sparse traffic no vehicle may be beside the ego in any clip, or in one."""
    torch.manual_seed(0)
    features, targets = torch.randn(50, 8), torch.randn(50, 3)
    targets[:, 1] = math.nan
    targets[1:, 2] = math.nan
    read = linear_probe(features, targets)(features)
    assert read.isfinite().all()
    assert torch.equal(read[:, 1], torch.zeros(50))
    torch.testing.assert_close(read[:, 2], targets[0, 2].expand(50))


def test_least_squares_is_numpys():
    random = torch.Generator().manual_seed(0)
    features, targets = (torch.randn(200, size, generator=random) for size in (5, 2))
    inputs = np.concatenate([features.numpy(), np.ones((200, 1))], axis=1)
    weights = np.linalg.lstsq(inputs, targets.numpy(), rcond=None)[0]
    prediction = least_squares_probe(features, targets)(features)
    torch.testing.assert_close(prediction, torch.from_numpy(inputs @ weights), atol=1e-4, rtol=0)


def test_least_squares_of_repeated_features_is_still_unique():
    random = torch.Generator().manual_seed(0)
    features = torch.randn(100, 3, generator=random).repeat(1, 2)
    targets = features[:, :1] - 2.0
    prediction = least_squares_probe(features, targets)(features)
    torch.testing.assert_close(prediction, targets.double(), atol=1e-4, rtol=0)
