"""Random numbers as functions of counters."""

import numpy as np
import pytest
import scipy.stats
import torch

from ppuu.runtime.counter_random import hashed, normal_of, uniform_of


def splitmix64(seed: int, count: int) -> list[int]:
    """The published generator in Python's integers: a counter and a finalizer."""
    mask, state, numbers = (1 << 64) - 1, seed, []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        numbers.append(z ^ (z >> 31))
    return numbers


def test_one_counter_is_hashed_as_splitmix64_does():
    seeds = torch.tensor([0, 1, 1234567, -5, 2**62])
    expected = [splitmix64(int(seed) % 2**64, 1)[0] for seed in seeds]
    assert [int(key) % 2**64 for key in hashed(seeds)] == expected
    # The first number of the reference implementation with seed 0.
    assert expected[0] == 0xE220A8397B1DCDAF


def test_numbers_are_uniform_normal_and_uncorrelated():
    counter = torch.arange(20000)
    keys = hashed(counter, 7)
    assert scipy.stats.kstest(uniform_of(keys).numpy(), "uniform").pvalue > 0.01
    normal = normal_of(keys, 3)
    assert scipy.stats.kstest(normal.flatten().numpy(), "norm").pvalue > 0.01
    beside = torch.stack([*normal.T, *normal_of(hashed(counter, 8), 1).T]).numpy()
    correlation = np.corrcoef(np.concatenate([beside[:, 1:], beside[:, :-1]])) - np.eye(8)
    assert np.abs(correlation).max() < 0.03


def test_a_number_depends_on_all_its_counters_and_nothing_else():
    many = hashed(torch.arange(50)[:, None], 3, torch.arange(40))
    assert torch.equal(many[12, 5], hashed(torch.tensor(12), 3, 5))
    assert len(many.unique()) == many.numel()
    assert hashed(torch.tensor(1), 2) != hashed(torch.tensor(2), 1)
    assert (
        float(uniform_of(torch.tensor(-1))) == pytest.approx(1.0)
        and uniform_of(torch.tensor(-1)) < 1.0
    )
