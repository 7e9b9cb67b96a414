"""What a run reports: lines without a terminal, TensorBoard, time over all starts."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train.engine.journal
import train.engine.stopwatch
from ppuu.runtime.checkpoint import Checkpoint
from ppuu.runtime.errors import InputError
from tests.train.engine.toy import LOOP, fit


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_without_a_terminal_a_line_tells_the_progress(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train.engine.journal, "_LINE_EVERY_S", 0.0)
    fit(tmp_path, replace(LOOP, updates=3))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and lines[-1].endswith("has 3 updates")
    number = r"[-+.e\d]+"
    for update, line in enumerate(lines[:3], 1):
        assert re.fullmatch(
            rf"toy: update {update} of 3, loss {number}, {number} clips/s, "
            rf"learning rate {number}, \d+:\d\d:\d\d left",
            line,
        )
    assert lines[2].endswith(" 0:00:00 left")


def test_it_is_silent_in_between(tmp_path, capsys):
    fit(tmp_path)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_tensorboard_has_rates_and_the_configuration(tmp_path):
    fit(tmp_path, replace(LOOP, accumulate=2))
    board = EventAccumulator(str(tmp_path)).Reload()
    rates = [event.value for event in board.Scalars("learning_rate")]
    assert rates == pytest.approx([0.05 * LOOP.rate(update) for update in range(8)])
    assert all(event.value > 0 for event in board.Scalars("clips_per_s"))
    (text,) = board.Tensors("config/text_summary")
    assert b'"batches_per_update": 2' in text.tensor_proto.string_val[0]


def test_seconds_add_up_over_starts(tmp_path):
    fit(tmp_path, replace(LOOP, updates=4))
    first = json.loads((tmp_path / "run.json").read_text())
    assert first["updates"] == 4 and 0 <= first["seconds"] < 3600
    assert first["config"]["batches_per_update"] == 1
    # As if the first start had taken an hour.
    (tmp_path / "run.json").write_text(json.dumps(first | {"seconds": 3600.0}))
    fit(tmp_path, replace(LOOP, updates=8))
    second = json.loads((tmp_path / "run.json").read_text())
    assert second["updates"] == 8 and second["seconds"] >= 3600.0
    assert [start["updates"] for start in second["starts"]] == [0, 4]
    assert [line["seconds"] >= 3600.0 for line in log(tmp_path)] == 4 * [False] + 4 * [True]


def test_time_is_measured_on_request_only(tmp_path, monkeypatch):
    synchronised = []
    gpu = SimpleNamespace(is_available=lambda: True, synchronize=lambda: synchronised.append(1))
    monkeypatch.setattr(train.engine.stopwatch, "torch", SimpleNamespace(cuda=gpu))
    fit(tmp_path / "plain")
    assert not synchronised
    assert not any("time_shares" in line for line in log(tmp_path / "plain"))
    fit(tmp_path / "profile", replace(LOOP, profile=True))
    assert synchronised
    for line in log(tmp_path / "profile"):
        assert sum(line["time_shares"].values()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("log_every", [1, 2, 3, 100])
@pytest.mark.parametrize("save_every_s", [0.0, 1e9])
def test_nothing_that_is_no_number_is_saved(tmp_path, monkeypatch, log_every, save_every_s):
    """Update 5 fails, however often the loop looks; what was saved before can be gone on from."""
    loop = replace(LOOP, log_every=log_every, save_every_s=save_every_s)
    backward, count = torch.Tensor.backward, [0]

    def fails(self, *arguments, **options):
        count[0] += 1
        return backward(self * (float("nan") if count[0] == 6 else 1.0), *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", fails)
        with pytest.raises(InputError, match="gradient of update 5 is not finite"):
            fit(tmp_path / "parts", loop)
    if save_every_s:
        assert not (tmp_path / "parts" / "checkpoint.pt").exists()
    else:
        kept = Checkpoint.load(tmp_path / "parts")
        assert kept.step == 5
        assert all(value.isfinite().all() for value in kept.model.values())
    fit(tmp_path / "parts", loop)
    fit(tmp_path / "whole", loop)
    ours, theirs = (Checkpoint.load(tmp_path / name).model for name in ("parts", "whole"))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=0)
