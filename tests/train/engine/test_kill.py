"""``kill -9`` in the middle of training: the same command again ends where nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ppuu.runtime.checkpoint import Checkpoint
from tests.helpers import dense_recording

ROOT = Path(__file__).parents[3]
UPDATES = 40


def start(recording, out):
    """A world model with everything that a checkpoint must carry."""
    words = [
        "--recordings", recording, "--out", out, "--preset", "debug", "--device", "cpu",
        "--steps", 2, "--batch", 2, "--updates", UPDATES, "--loop.save-every-s", 0,
        "--loop.log-every", 1, "--loop.accumulate", 2, "--loop.average", 0.9,
        "--loop.validate-every", 7, "--loop.validation-batches", 1, "--loop.pictures-every", 15,
    ]  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "train.world_model", *map(str, words)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def lines(out):
    path = out / "log.jsonl"
    return path.read_text().splitlines() if path.is_file() else []


def numbers(out):
    rows = [json.loads(line) for line in lines(out)]
    return [{k: v for k, v in r.items() if k not in ("seconds", "clips_per_s")} for r in rows]


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path):
    recording, whole, parts = (tmp_path / name for name in ("dense.h5", "whole", "parts"))
    dense_recording(per_lane=2, frames=650).save(recording)
    straight = start(recording, whole)
    killed = start(recording, parts)
    deadline = time.monotonic() + 200
    while len(lines(parts)) < UPDATES // 3 and killed.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    reached = Checkpoint.load(parts).step
    assert UPDATES // 3 - 1 <= reached < UPDATES
    again = start(recording, parts)
    for process in (straight, again):
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    for name in ("checkpoint.pt", "best.pt"):
        ours, theirs = Checkpoint.load(parts / name), Checkpoint.load(whole / name)
        assert ours.step == theirs.step
        equal(ours.model, theirs.model)
        equal(ours.training, theirs.training)
    assert numbers(parts) == numbers(whole)


def equal(ours, theirs):
    """Bit for bit, whatever the nesting."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            equal(value, theirs[key])
    elif isinstance(ours, torch.Tensor):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    else:
        assert ours == theirs
