"""train.value end to end: a run can be loaded, and only as what it is."""

from dataclasses import replace

import pytest
import torch

import train.value
from ppuu.loading.runs import load_cost_model, load_value
from ppuu.perception.observation import ObservationConfig
from ppuu.policies.features import PixelsConfig
from ppuu.policies.learned_costs import CostModelConfig
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording
from tests.rollouts import TINY

DEBUG = train.value.PRESETS["debug"]
SHORT = replace(DEBUG, loop=replace(DEBUG.loop, updates=3, log_every=1), batch=2)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "dense.h5"
    dense_recording(per_lane=3, frames=60).save(path)
    return path


def run(recording, out, config):
    train.value.main((recording,), out, config, split="all", device="cpu")
    return out


def test_a_value_function_is_trained_and_loaded(recording, tmp_path):
    out = run(recording, tmp_path / "value", SHORT)
    value = load_value(out)
    assert value.config == SHORT.network
    assert not value.training and not any(w.requires_grad for w in value.parameters())
    # The statistics of the data came along.
    assert value.normalizer.ego_mean.abs().max() > 0
    with pytest.raises(InputError, match="value"):
        load_cost_model(out)
    # Again: nothing is left to do, nothing changes.
    weights = {name: w.clone() for name, w in value.state_dict().items()}
    again = load_value(run(recording, out, SHORT)).state_dict()
    assert all(torch.equal(w, again[name]) for name, w in weights.items())


def test_a_cost_model_on_pixels_is_trained_on_costs_of_tracks(recording, tmp_path):
    judge = CostModelConfig(PixelsConfig(ObservationConfig(3, 3, TINY), (4, 4, 4)), 8)
    model = load_cost_model(run(recording, tmp_path / "costs", replace(SHORT, network=judge)))
    assert model.config == judge
