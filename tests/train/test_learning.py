"""A regression test of learning as a whole: a little training must beat doing nothing by far."""

from dataclasses import replace

import pytest

import eval.closed_loop
import train.policy
import train.world_model
from data import generate
from ppuu.runtime.files import read_json


@pytest.mark.slow
def test_a_policy_learns_in_a_world_model_to_keep_to_a_winding_road(tmp_path):
    """Straight on, most leave the road; after this short training nine of ten arrive."""
    learnt, unseen, model, run = (
        tmp_path / name for name in ("train.h5", "test.h5", "world-model", "policy")
    )
    generate.main("motorway", learnt, 60.0, 50)
    generate.main("motorway", unseen, 60.0, 55)
    tiny = train.world_model.PRESETS["debug"]
    train.world_model.main((learnt,), model, tiny, split="all", device="cpu")
    config = replace(train.policy.PRESETS["small"], batch=4)
    config = replace(config, loop=replace(config.loop, updates=400, learning_rate=1e-3))
    train.policy.main(
        "mpur-without-uncertainty", (learnt,), run, config, (model,), split="all", device="cpu"
    )
    results = tmp_path / "results.json"
    eval.closed_loop.main((str(run), "no-action"), (unseen,), results, split="all")
    success = {row["name"]: row["success"]["value"] for row in read_json(results)["rows"]}
    assert success["no-action"] < 0.2
    assert success["policy"] > 0.5
