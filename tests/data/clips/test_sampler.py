"""The sampler: every clip once an epoch, shared fairly between ranks, exact from any position."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from data.clips.sampler import ClipSampler
from ppuu.runtime.errors import InputError


def stream(sampler, batches):
    """The first so many batches as one list."""
    return torch.cat([sampler.batch_at(k) for k in range(batches)]).tolist()


@given(
    clips=st.integers(1, 40), batch=st.integers(1, 50), ranks=st.integers(1, 4), seed=st.integers()
)
def test_ranks_partition_every_epoch(clips, batch, ranks, seed):
    samplers = [ClipSampler(clips, batch, seed, rank, ranks) for rank in range(ranks)]
    count = -(-3 * clips // (batch * ranks))
    together = [s.batch_at(k) for k in range(count) for s in samplers]
    assert all(len(part) == batch for part in together)
    joined = torch.cat(together).tolist()
    for epoch in range(3):
        assert sorted(joined[epoch * clips : (epoch + 1) * clips]) == list(range(clips))


def test_epochs_differ_and_so_do_seeds_but_a_seed_repeats():
    one = stream(ClipSampler(50, 10, seed=1), 10)
    assert one[:50] != one[50:]
    assert one == stream(ClipSampler(50, 10, seed=1), 10)
    assert one != stream(ClipSampler(50, 10, seed=2), 10)


@given(
    clips=st.integers(1, 30),
    batch=st.integers(1, 7),
    stop=st.integers(0, 20),
    weighted=st.booleans(),
)
def test_resuming_in_the_middle_of_an_epoch_is_exact(clips, batch, stop, weighted):
    weights = 1.0 + torch.arange(clips) if weighted else None

    def made():
        return ClipSampler(clips, batch, seed=5, rank=1, ranks=2, weights=weights)

    whole = list(itertools.islice(made(), 25))
    first = made()
    before = list(itertools.islice(first, stop))
    second = made()
    second.load_state_dict(first.state_dict())
    after = list(itertools.islice(second, 25 - stop))
    assert torch.equal(torch.cat(before + after), torch.cat(whole))


@pytest.mark.parametrize("change", [{"clips": 9}, {"batch": 3}, {"seed": 1}, {"ranks": 2}])
def test_the_state_of_another_sampler_is_refused(change):
    ours = {"clips": 8, "batch": 2, "seed": 0, "ranks": 1}
    state = ClipSampler(**(ours | change)).state_dict()
    with pytest.raises(InputError, match=next(iter(change))):
        ClipSampler(**ours).load_state_dict(state)


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=60), st.integers(0, 5))
def test_weights_are_kept_within_one_draw_in_every_epoch(weights, epoch):
    wanted = np.array(weights) + (0.0 if sum(weights) > 0 else 1.0)
    clips = len(wanted)
    sampler = ClipSampler(clips, clips, weights=torch.tensor(wanted))
    drawn = np.bincount(sampler.batch_at(epoch).numpy(), minlength=clips)
    expected = clips * wanted / wanted.sum()
    assert drawn.sum() == clips
    assert (np.abs(drawn - expected) <= 1 + 1e-6).all()
    assert (drawn[wanted == 0] == 0).all()


def test_equal_weights_are_no_weights():
    plain, weighted = (ClipSampler(1000, 100, weights=w) for w in (None, torch.full((1000,), 0.3)))
    assert sorted(stream(weighted, 10)) == sorted(stream(plain, 10)) == list(range(1000))


def test_the_rare_come_up_as_often_as_wanted():
    weights = torch.ones(1000)
    weights[:10] = 100.0
    drawn = stream(ClipSampler(1000, 50, weights=weights), 20)
    assert sum(clip < 10 for clip in drawn) == pytest.approx(1000 * 1000 / 1990, abs=11)


@pytest.mark.parametrize(
    "wrong",
    [
        {"clips": 0},
        {"batch": 0},
        {"rank": 2, "ranks": 2},
        {"rank": -1},
        {"weights": torch.ones(3)},
        {"weights": torch.zeros(4)},
        {"weights": torch.tensor([1.0, -1.0, 1.0, 1.0])},
        {"weights": torch.tensor([1.0, float("nan"), 1.0, 1.0])},
    ],
)
def test_mistakes_are_named(wrong):
    with pytest.raises(InputError, match="sampler"):
        ClipSampler(**({"clips": 4, "batch": 2} | wrong))
