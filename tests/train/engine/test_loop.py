"""The loop on a toy: averages, accumulation, validation, precision; all of it resumes exactly."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.errors import InputError
from tests.train.engine.toy import LOOP, Noisy, fit
from train.engine.average import MovingAverage
from train.engine.early_stop import EarlyStop
from train.engine.loop_config import LoopConfig


class Killed(Exception):
    """The machine goes down."""


def equal(ours, theirs):
    assert set(ours) == set(theirs)
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=0, atol=0)


def log(out):
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "clips_per_s")} for line in lines
    ]


def away_from_three(module):
    """A validation loss that depends on the weights."""
    return lambda: (module.read.weight.mean() - 3.0).square().item()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"average": 0.9},
        {"accumulate": 3},
        {"channels_last": True, "schedule": "constant"},
        {"validate_every": 2, "average": 0.9, "accumulate": 2},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path, monkeypatch, changes):
    loop = replace(LOOP, **changes)
    fit(tmp_path / "whole", loop, validate=away_from_three)
    backward, count = torch.Tensor.backward, [0]

    def dies(self, *arguments, **options):
        count[0] += 1
        if count[0] > 5 * loop.accumulate - 1:
            raise Killed
        return backward(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", dies)
        with pytest.raises(Killed):
            fit(tmp_path / "parts", loop, validate=away_from_three)
    assert Checkpoint.load(tmp_path / "parts").step == 4
    torch.manual_seed(12345)
    fit(tmp_path / "parts", loop, validate=away_from_three)
    whole, parts = (Checkpoint.load(tmp_path / name) for name in ("whole", "parts"))
    equal(whole.model, parts.model)
    if "average" in changes:
        equal(whole.training["weights"], parts.training["weights"])
    for number, state in whole.training["optimizer"]["state"].items():
        equal(state, parts.training["optimizer"]["state"][number])
    assert whole.training["early_stop"] == parts.training["early_stop"]
    assert log(tmp_path / "whole") == log(tmp_path / "parts")
    if loop.validate_every:
        best = [Checkpoint.load(tmp_path / name / "best.pt") for name in ("whole", "parts")]
        equal(best[0].model, best[1].model)


def test_accumulated_batches_are_one_large_batch(tmp_path):
    """Up to the order of sums, where there is no noise."""
    one = fit(tmp_path / "one", LOOP, batch=12, noise=False).state_dict()
    three = fit(tmp_path / "three", replace(LOOP, accumulate=3), noise=False).state_dict()
    torch.testing.assert_close(three, one, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(log(tmp_path / "one"), log(tmp_path / "three"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_the_average_by_hand():
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(2.0)
    average = MovingAverage(module, 0.25)
    module.weight.data.fill_(4.0)
    average.update(1)  # 2 / 11 is below 0.25: 2 * 2/11 + 4 * 9/11
    expected = 2 * 2 / 11 + 4 * 9 / 11
    assert average.state_dict()["weight"].item() == pytest.approx(expected)
    average.update(100)
    expected = 0.25 * expected + 0.75 * 4.0
    with average.in_place():
        assert module.weight.item() == pytest.approx(expected)
    assert module.weight.item() == 4.0


def test_evaluation_gets_the_average_and_buffers_as_they_are(tmp_path):
    module = fit(tmp_path, replace(LOOP, average=0.99))
    checkpoint = Checkpoint.load(tmp_path)
    equal(checkpoint.training["weights"], module.state_dict())
    assert not torch.equal(checkpoint.model["read.weight"], module.read.weight)
    assert checkpoint.model["offset"] == 0.5
    Noisy().load_state_dict(checkpoint.model)


def test_early_stopping(tmp_path, capsys):
    """The third of these losses is the best; two later ones are not."""
    losses = [3.0, 2.0, 1.0, float("nan"), 1.0, 0.0, 0.0, 0.0]

    def validate(module):
        assert not torch.is_grad_enabled() or module.training
        remaining = iter(losses)
        return lambda: next(remaining)

    loop = replace(LOOP, validate_every=1, patience=2)
    fit(tmp_path, loop, validate=validate)
    assert Checkpoint.load(tmp_path).step == 5
    assert Checkpoint.load(tmp_path / "best.pt").step == 3
    assert [line["validation_loss"] for line in log(tmp_path)][:3] == losses[:3]
    fit(tmp_path, loop, validate=validate)
    assert "trained already (5 updates)" in capsys.readouterr().err
    with pytest.raises(InputError, match="nothing to validate on"):
        fit(tmp_path / "none", loop)


def test_without_patience_training_goes_on():
    stop = EarlyStop(0)
    assert stop.improved(1.0, 1)
    assert not any(stop.improved(2.0, step) for step in range(2, 100))
    assert not stop.over


def test_validation_leaves_no_trace_in_training(tmp_path):
    """It draws noise, in evaluation mode, and always the same."""
    seen = []

    def validate(module):
        def one():
            assert not module.training
            assert not torch.is_grad_enabled()
            seen.append(torch.rand(1).item())
            return seen[-1]

        return one

    loop = replace(LOOP, average=0.5)
    plain = fit(tmp_path / "plain", loop)
    judged = fit(tmp_path / "judged", replace(loop, validate_every=3), validate=validate)
    equal(plain.state_dict(), judged.state_dict())
    assert len(seen) == 3  # after updates 3, 6, and the last
    assert len(set(seen)) == 1


def test_sigterm_stops_after_the_update(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def validate(module):
        def asks():
            os.kill(os.getpid(), signal.SIGTERM)
            return 1.0

        return asks

    loop = replace(LOOP, validate_every=3, save_every_s=1e9)
    with pytest.raises(InputError, match=r"stopped by SIGTERM; update 3 is saved"):
        fit(tmp_path / "parts", loop, validate=validate)
    assert Checkpoint.load(tmp_path / "parts").step == 3
    assert signal.getsignal(signal.SIGTERM) is before
    resumed = fit(tmp_path / "parts", loop, validate=lambda module: lambda: 1.0)
    whole = fit(tmp_path / "whole", loop, validate=lambda module: lambda: 1.0)
    equal(resumed.state_dict(), whole.state_dict())


def test_pictures(tmp_path):
    made = []

    def pictures(number):
        made.append(number)
        return {"strip": torch.full((3, 4, 5), 0.5)}

    fit(tmp_path, replace(LOOP, pictures_every=5), pictures=pictures)
    assert made == [4, 7]
    board = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.height, e.width) for e in board.Images("strip")] == [(5, 4, 5), (8, 4, 5)]


def test_bfloat16_rounds_the_forward_pass_alone(tmp_path):
    exact = fit(tmp_path / "float32", noise=False)
    rough = fit(tmp_path / "bfloat16", replace(LOOP, precision="bfloat16"), noise=False)
    assert {p.dtype for p in rough.parameters()} == {torch.float32}
    for ours, theirs in zip(log(tmp_path / "float32"), log(tmp_path / "bfloat16"), strict=True):
        assert ours["loss"] != theirs["loss"]
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.05, abs=0.01)
    torch.testing.assert_close(rough.state_dict(), exact.state_dict(), rtol=0.0, atol=0.1)


def test_channels_last_is_a_layout(tmp_path):
    module = fit(tmp_path / "last", replace(LOOP, channels_last=True), noise=False)
    assert module.convolve.weight.is_contiguous(memory_format=torch.channels_last)
    same = fit(tmp_path / "first", noise=False).state_dict()
    torch.testing.assert_close(module.state_dict(), same, rtol=1e-4, atol=1e-5)


def test_without_a_compiler_training_goes_on(tmp_path, monkeypatch, capsys):
    def missing(function):
        def fails(*arguments):
            raise RuntimeError("No working C++ compiler found\nand many lines more")

        return fails

    monkeypatch.setattr(torch, "compile", missing)
    fit(tmp_path / "compiled", replace(LOOP, compile=True))
    warning, done = capsys.readouterr().err.splitlines()
    assert done.endswith("has 8 updates")
    assert "No working C++ compiler found); training is not compiled" in warning
    fit(tmp_path / "eager")
    assert log(tmp_path / "compiled") == log(tmp_path / "eager")


@pytest.mark.slow
def test_compiled_code_computes_the_same(tmp_path, capsys):
    fit(tmp_path / "compiled", replace(LOOP, compile=True, updates=3), noise=False)
    assert "warning" not in capsys.readouterr().err
    fit(tmp_path / "eager", replace(LOOP, updates=3), noise=False)
    for ours, theirs in zip(log(tmp_path / "compiled"), log(tmp_path / "eager"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_constant_rate():
    loop = LoopConfig(updates=100, warmup_updates=4, schedule="constant")
    assert [loop.rate(k) for k in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert loop.rate(99) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [{"accumulate": 0}, {"average": 1.0}, {"patience": 2}, {"validate_every": -1}],
    ids=str,
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        LoopConfig(**wrong)
