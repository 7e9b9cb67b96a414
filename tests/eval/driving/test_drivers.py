"""Drivers by name: labels, planners and their training configurations."""

import pytest

from eval.driving.drivers import labels, training_of, with_planners
from ppuu.runtime.errors import InputError
from ppuu.world_models import TokensConfig
from tests.runs import saved_world_model


def test_planner_stands_for_one_in_each_world():
    found = with_planners(["human", "planner", "idm"], ["recorded", "runs/a"])
    assert found == ["human", "planner:recorded", "planner:runs/a", "idm"]
    assert with_planners(["human"], []) == ["human"]
    for wrong in ((["planner"], []), (["human"], ["recorded"])):
        with pytest.raises(InputError, match="belong together"):
            with_planners(*wrong)


def test_labels_are_short_and_unique(tmp_path):
    (tmp_path / "x").mkdir()
    one, other = (
        saved_world_model(path, TokensConfig(hidden=8, pair=4, heads=1))
        for path in (tmp_path / "model", tmp_path / "x" / "model")
    )
    names = [f"planner:{one}", f"planner:{one},steps=5", "planner:recorded"]
    assert list(labels(names).values()) == [
        "planner:model", "planner:model,steps=5", "planner:recorded",
    ]  # fmt: skip
    both = labels([f"planner:{one}", f"planner:{other}"])
    assert len(set(both.values())) == 2
    assert training_of(f"planner:{one}")["model"]["hidden"] == 8
    assert training_of("planner:recorded") is None
