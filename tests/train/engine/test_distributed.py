"""Two processes train what one process trains; one that dies ends the job and loses nothing."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ppuu.runtime.checkpoint import Checkpoint
from tests.train.engine.toy import LOOP, fit

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
TOY = ROOT / "tests" / "train" / "engine" / "toy.py"


def two_ranks(*words):
    """Runs a command under torchrun, with two Gloo processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launch, *map(str, words)], env=environment, capture_output=True, text=True, timeout=300
    )


def losses(out):
    return [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("noise", [True, False])
def test_two_ranks_equal_one_process(tmp_path, noise):
    """Of two batches an update, noise and all; without noise, of twice the batch."""
    two, one = tmp_path / "two", tmp_path / "one"
    ran = two_ranks(TOY, "--out", two, "--noise" if noise else "--no-noise")
    assert ran.returncode == 0, ran.stderr
    if noise:
        fit(one, replace(LOOP, accumulate=2))
    else:
        fit(one, batch=8, noise=False)
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    ours, theirs = Checkpoint.load(two).model, Checkpoint.load(one).model
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_rank_that_dies_ends_the_job_and_leaves_a_checkpoint(tmp_path):
    """Rank 1 is killed in update 5, over batch 11; one process finishes what two began."""
    out = tmp_path / "run"
    ran = two_ranks(TOY, "--out", out, "--dies-at", "11")
    assert ran.returncode != 0
    assert "another rank is gone" in ran.stderr
    assert "run the same command again to go on" in ran.stderr
    assert "Signal 9" in ran.stderr  # torchrun's own words, with rank and host
    assert Checkpoint.load(out).step == 5
    fit(out, replace(LOOP, accumulate=2))
    fit(tmp_path / "whole", replace(LOOP, accumulate=2))
    assert losses(out) == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)
