"""Configurations: every preset survives JSON and builds; mistakes are explained in one line."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
import torch

import train.policy
import train.world_model
from ppuu.runtime.config import differences, from_json, to_json
from ppuu.runtime.errors import InputError

PRESETS = [
    *(("world_model", name, preset) for name, preset in train.world_model.PRESETS.items()),
    *(("policy", name, preset) for name, preset in train.policy.PRESETS.items()),
]


@pytest.mark.parametrize(
    ("kind", "name", "preset"), PRESETS, ids=[f"{k}-{n}" for k, n, _ in PRESETS]
)
def test_presets_survive_json_and_build(kind, name, preset):
    text = json.dumps(to_json(preset))
    again = from_json(type(preset), json.loads(text))
    assert again == preset
    assert json.dumps(to_json(again)) == text
    part = preset.model if kind == "world_model" else preset.policy
    with torch.device("meta"):  # shapes without memory; no weights are drawn
        module = part.build()
    assert sum(parameter.numel() for parameter in module.parameters()) > 1000
    assert preset.loop.rate(0) > 0


def test_presets_offer_the_same_names():
    sizes = {"debug", "small", "medium", "large"}
    assert sizes <= set(train.world_model.PRESETS) & set(train.policy.PRESETS)


@dataclass(frozen=True)
class Round:
    radius_m: float = 1.0


@dataclass(frozen=True)
class Square:
    side_m: float = 2.0


@dataclass(frozen=True)
class Drawing:
    shape: Round | Square = field(default_factory=Round)
    colour: Literal["red", "blue"] = "red"
    size: tuple[int, int] = (3, 4)
    weights: tuple[float, ...] = ()
    title: str | None = None
    filled: bool = False


def test_unions_tuples_and_nothing():
    drawing = Drawing(Square(5.0), "blue", (1, 2), (0.5, 1.5), "a", True)
    assert from_json(Drawing, json.loads(json.dumps(to_json(drawing)))) == drawing
    assert from_json(Drawing, json.loads(json.dumps(to_json(Drawing())))) == Drawing()
    assert from_json(Drawing, {}) == Drawing()
    # A whole number is fine where a float is asked for, and becomes one.
    radius = from_json(Drawing, {"shape": {"type": "Round", "radius_m": 3}}).shape.radius_m
    assert radius == 3.0 and isinstance(radius, float)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"colur": "red"}, ["config", "'colur'", "did you mean 'colour'?"]),
        ({"shape": {"type": "Round", "radius": 1}}, ["config.shape", "'radius_m'"]),
        ({"shape": {"type": "Triangle"}}, ["config.shape", "Triangle", "Round, Square"]),
        ({"shape": 3}, ["config.shape", "3"]),
        ({"colour": "green"}, ["config.colour", "green", "red, blue"]),
        ({"size": [1, 2, 3]}, ["config.size", "3 values, 2 expected"]),
        ({"size": [1, "2"]}, ["config.size[1]", "'2'", "int"]),
        ({"size": 4}, ["config.size", "not a list"]),
        ({"filled": 1}, ["config.filled", "bool"]),
        ({"size": [True, 2]}, ["config.size[0]", "int"]),
        ({"title": 3}, ["config.title", "str"]),
        ({"type": "Painting"}, ["Painting", "Drawing"]),
        ([], ["config", "Drawing"]),
    ],
)
def test_mistakes_are_explained(value, words):
    with pytest.raises(InputError) as error:
        from_json(Drawing, value)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_a_configuration_refuses_what_it_cannot_do_from_json_too():
    preset = to_json(train.world_model.PRESETS["debug"])
    preset["loop"]["updates"] = 0
    with pytest.raises(InputError, match="loop of 0 updates"):
        from_json(train.world_model.WorldModelTraining, preset)


def test_differences_name_the_entry():
    ours = train.world_model.PRESETS["debug"]
    loop = dataclasses.replace(ours.loop, learning_rate=0.5)
    theirs = dataclasses.replace(ours, batch=7, loop=loop)
    assert differences(to_json(ours), to_json(ours)) == []
    assert differences(to_json(ours), to_json(theirs)) == [
        "batch: 4 instead of 7",
        "loop.learning_rate: 0.001 instead of 0.5",
    ]
    assert differences({"a": 1}, {}) == ["a: 1 instead of None"]
