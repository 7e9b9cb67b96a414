"""Whether uncertainty rises with the error, and what it is compared to."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import train.world_model
from eval.uncertainty import PathUncertainty, main, row
from ppuu.costs import Uncertainty
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording
from tests.runs import saved_world_model


def paths(disagreement, cost_error, cost):
    return PathUncertainty(disagreement, np.maximum(disagreement - 0.5, 0.0), cost, cost_error)


def test_uncertainty_that_is_error_ranks_it_and_noise_does_not():
    random = np.random.default_rng(0)
    wrong = random.exponential(size=(200, 4))
    noise = random.exponential(size=(200, 4))
    metrics = row("x", paths(wrong, wrong, noise), np.arange(200))
    assert metrics["rank_correlation"].value == pytest.approx(1.0)
    assert abs(metrics["by_cost_alone"].value) < 0.15
    assert metrics["uncertainty"].value == pytest.approx(np.maximum(wrong - 0.5, 0).mean())
    assert metrics["cost_error"].value == pytest.approx(wrong.mean())


def test_an_empty_road_is_kept_apart():
    """Half of the clips have no vehicle near; in the others uncertainty says nothing."""
    random = np.random.default_rng(0)
    wrong, found = random.uniform(1, 2, size=(2, 300, 3))
    near = np.arange(300)[:, None] % 2 == 0
    wrong, found, cost = wrong * near, found * near, 1.0 * near.repeat(3, 1)
    metrics = row("x", paths(found, wrong, cost), np.arange(300))
    assert metrics["vehicle_near"] == 0.5
    assert metrics["rank_correlation"].value > 0.6
    assert metrics["by_cost_alone"].value > 0.6
    assert abs(metrics["rank_correlation_near"].value) < 0.2


def test_more_neighbours_later_prove_nothing():
    """Vehicles are near more often at some steps; ranks are among the clips with one near."""
    random = np.random.default_rng(0)
    wrong, found = random.uniform(1, 2, size=(2, 500, 4))
    near = random.uniform(size=(500, 4)) < [0.05, 0.3, 0.6, 0.9]
    wrong, found = wrong * near, found * near
    metrics = row("x", paths(found, wrong, 1.0 * near), np.arange(500))
    assert metrics["rank_correlation_near"].low < 0 < metrics["rank_correlation_near"].high
    assert abs(metrics["rank_correlation_near"].value) < 0.1


def test_ties_share_their_rank():
    """Equal values have no rank correlation."""
    zeros = np.zeros((50, 2))
    metrics = row("x", paths(zeros, zeros, zeros), np.arange(50))
    assert np.isnan(metrics["rank_correlation"].value)


def test_each_kind_has_its_own_penalty():
    """Agreement about predictions does not make up for disagreement about costs."""
    uncertainty = Uncertainty(1, 0.5, include_predictions=True)
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
    (metrics,) = json.loads((tmp_path / "u.json").read_text())["rows"]
    assert metrics["name"] == "recorded human"
    assert 0.0 < metrics["cost_error"]["value"] < 1.0
    assert 0.0 < metrics["vehicle_near"] <= 1.0


def test_the_human_needs_no_naming():
    with pytest.raises(InputError, match="is a row anyway"):
        main(world_model=(Path("w"),), recordings=(Path("r.h5"),), policy=(Path("human"),))


def test_policies_that_cannot_drive_in_a_model_are_refused(tmp_path):
    out = saved_world_model(tmp_path / "world", train.world_model.PRESETS["pixels-debug"].model)
    with pytest.raises(InputError, match="--policy pretrained observes tracks"):
        main((out,), (Path("r.h5"),), (Path("pretrained"),))
    with pytest.raises(InputError, match="name a run directory"):
        main((), (Path("r.h5"),))
