"""Runs: a checkpoint that this program cannot rebuild is refused in one line."""

import dataclasses

import pytest

from ppuu.loading.runs import load_policy, load_world_model
from ppuu.policies import NetworkPolicyConfig
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from tests.rollouts import TINY_MODEL

RUNS = {
    "world_model": ("model", TINY_MODEL, load_world_model),
    "policy": ("policy", NetworkPolicyConfig(), load_policy),
}


@pytest.fixture(params=RUNS)
def run(request, tmp_path):
    """Its directory, what it holds, and a function that spoils it and tries to load it."""
    kind = request.param
    key, config, load = RUNS[kind]
    whole = Checkpoint(kind, {key: to_json(config)}, config.build().state_dict(), 1, {})

    def refused(**changes):
        dataclasses.replace(whole, **changes).save(tmp_path / FILE_NAME)
        with pytest.raises(InputError) as error:
            load(tmp_path)
        message = str(error.value)
        assert message.startswith(str(tmp_path)) and "\n" not in message
        return message

    return whole, key, refused


def test_an_unknown_key_is_named(run):
    whole, key, refused = run
    known = list(whole.config[key])[-1]
    config = {key: whole.config[key] | {f"{known}s": 3}}
    assert f"unknown key '{known}s'; did you mean '{known}'?" in refused(config=config)


def test_a_configuration_that_is_missing_is_named(run):
    _, key, refused = run
    assert f"{key}: None is not a" in refused(config={})


def test_weights_of_another_network_are_refused(run):
    whole, _, refused = run
    weights = dict(whole.model)
    weights.pop(next(iter(weights)))
    assert "weights do not fit" in refused(model=weights)


def test_weights_that_are_no_numbers_are_refused(run):
    whole, _, refused = run
    weights = dict(whole.model)
    name = next(n for n, value in weights.items() if value.is_floating_point())
    weights[name] = weights[name] * float("nan")
    assert f"weight {name} is not finite" in refused(model=weights)
