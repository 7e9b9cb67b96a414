"""Does the price rise with the error?  What is counted, and beside what."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import train.world_model
from eval.uncertainty import Judged, main, row
from ppuu.costs import Uncertainty
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording
from tests.runs import saved_world_model


def judged(found, wrong, cost):
    return Judged(found, np.maximum(found - 0.5, 0.0), cost, wrong)


def test_uncertainty_that_is_error_ranks_it_and_noise_does_not():
    random = np.random.default_rng(0)
    wrong = random.exponential(size=(200, 4))
    noise = random.exponential(size=(200, 4))
    told = row("x", judged(wrong, wrong, noise), np.arange(200))
    assert told["rank_correlation"].value == pytest.approx(1.0)
    assert abs(told["by_cost_alone"].value) < 0.15
    assert told["uncertainty"].value == pytest.approx(np.maximum(wrong - 0.5, 0).mean())
    assert told["cost_error"].value == pytest.approx(wrong.mean())


def test_an_empty_road_is_told_apart():
    """Half of the clips have nobody near; elsewhere uncertainty says nothing about the error."""
    random = np.random.default_rng(0)
    wrong, found = random.uniform(1, 2, size=(2, 300, 3))
    near = np.arange(300)[:, None] % 2 == 0
    wrong, found, cost = wrong * near, found * near, 1.0 * near.repeat(3, 1)
    told = row("x", judged(found, wrong, cost), np.arange(300))
    assert told["somebody_near"] == 0.5
    assert told["rank_correlation"].value > 0.6
    assert told["by_cost_alone"].value > 0.6
    assert abs(told["rank_correlation_near"].value) < 0.2


def test_more_neighbours_later_prove_nothing():
    """Who is near more often at some steps than at others is ranked among those near."""
    random = np.random.default_rng(0)
    wrong, found = random.uniform(1, 2, size=(2, 500, 4))
    near = random.uniform(size=(500, 4)) < [0.05, 0.3, 0.6, 0.9]
    wrong, found = wrong * near, found * near
    told = row("x", judged(found, wrong, 1.0 * near), np.arange(500))
    assert told["rank_correlation_near"].low < 0 < told["rank_correlation_near"].high
    assert abs(told["rank_correlation_near"].value) < 0.1


def test_ties_share_their_rank():
    """However they are ordered, equal values prove nothing."""
    zeros = np.zeros((50, 2))
    told = row("x", judged(zeros, zeros, zeros), np.arange(50))
    assert np.isnan(told["rank_correlation"].value)


def test_kinds_are_priced_one_by_one():
    """Agreement about predictions does not make up for disagreement about costs."""
    uncertainty = Uncertainty(1, 0.5, of_predictions=True)
    variances = torch.tensor([[[[3.0], [-3.0]]]])
    assert uncertainty.disagreement(variances).item() == pytest.approx(2.5)


def test_from_run_to_table(tmp_path):
    recording, out = tmp_path / "dense.h5", tmp_path / "world"
    # Close together and changing lanes, so that there are costs, and errors in predicting them.
    cars = [Car(9.0 * k, lane=k % 2, to_lane=1, change_frame=20 + 5 * k) for k in range(8)]
    straight_recording(cars, frames=80, lanes=2).save(recording)
    config = train.world_model.PRESETS["debug"]
    train.world_model.main((recording,), out, config, split="all", device="cpu")
    main(
        (out,), (recording,), (), tmp_path / "u.json", "all", clips=16, steps=3, replicas=3,
    )  # fmt: skip
    (told,) = json.loads((tmp_path / "u.json").read_text())["rows"]
    assert told["name"] == "recorded human"
    assert 0.0 < told["cost_error"]["value"] < 1.0
    assert 0.0 < told["somebody_near"] <= 1.0


def test_the_human_needs_no_naming():
    with pytest.raises(InputError, match="is a row anyway"):
        main(world_model=(Path("w"),), recordings=(Path("r.h5"),), policy=(Path("human"),))


def test_policies_that_cannot_drive_in_a_model_are_refused(tmp_path):
    out = saved_world_model(tmp_path / "world", train.world_model.PRESETS["pixels-debug"].model)
    with pytest.raises(InputError, match="--policy pretrained looks at"):
        main((out,), (Path("r.h5"),), (Path("pretrained"),))
    with pytest.raises(InputError, match="name a run directory"):
        main((), (Path("r.h5"),))
