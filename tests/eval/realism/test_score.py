"""Distances and the likelihood score: identities, and SciPy's own."""

import numpy as np
import pytest
from scipy import stats

from eval.realism.score import BINS, SMOOTHING, realism, wasserstein
from eval.realism.summary import LEVELS


def normal(scale=1.0, shift=0.0):
    """Quantiles of a normal distribution."""
    return {"speed_mps": shift + scale * stats.norm.ppf(LEVELS)}


def test_a_sample_is_itself():
    assert wasserstein(normal(), normal()) == {"speed_mps": 0.0}
    assert realism(normal(), normal()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shift", [-2.5, 0.3])
def test_a_shifted_sample_is_as_far_as_the_shift(shift):
    assert wasserstein(normal(shift=shift), normal())["speed_mps"] == pytest.approx(abs(shift))


def test_the_distance_is_that_of_scipy():
    random = np.random.default_rng(0)
    one, other = random.gamma(2.0, 3.0, 4000), random.gamma(3.0, 1.5, 3000)
    ours = wasserstein(*({"x": np.quantile(sample, LEVELS)} for sample in (one, other)))["x"]
    assert ours == pytest.approx(stats.wasserstein_distance(one, other), rel=0.01)


@pytest.mark.parametrize("scale", [0.02, 0.2, 0.5, 0.9, 1.1, 2.0, 10.0])
def test_neither_a_narrower_nor_a_wider_sample_beats_the_real_one(scale):
    assert realism(normal(scale), normal()) < 1.0


def test_the_narrower_the_worse():
    scores = [realism(normal(scale), normal()) for scale in (1.0, 0.8, 0.5, 0.2, 0.0)]
    assert (np.diff(scores) < 0).all()


def test_the_score_is_a_divergence():
    """A constant in a middle bin: all mass of ``q`` in one of 40, its smoothing apart."""
    p = np.full(BINS, 1 / BINS)
    q = np.full(BINS, SMOOTHING / BINS)
    q[BINS // 2] += 1 - SMOOTHING
    constant = {"speed_mps": np.full(len(LEVELS), 1e-3)}
    expected = np.exp(-stats.entropy(p, q))
    assert realism(constant, normal()) == pytest.approx(expected, rel=0.05)


def test_features_are_joined_by_their_geometric_mean():
    real = {"a": normal()["speed_mps"], "b": normal()["speed_mps"]}
    half = {"a": real["a"], "b": normal(0.5)["speed_mps"]}
    assert realism(half, real) == pytest.approx(realism(normal(0.5), normal()) ** 0.5)


def test_what_is_missing_is_not_a_number():
    assert np.isnan(realism({}, normal())) and np.isnan(wasserstein({}, normal())["speed_mps"])
